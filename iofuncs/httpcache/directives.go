package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// absent is the time of a directive that is not there.
	absent time.Duration = -1

	// longest is what times are cut to: 2³¹-1 seconds, as RFC 9111 has it. Sums
	// of a few of them can't overflow.
	longest = (1<<31 - 1) * time.Second

	// maxVary bounds the fields that one answer may vary by, maxVaryBytes their names
	// together: they stay in memory for as long as the answer is on disk.
	maxVary      = 32
	maxVaryBytes = 512
)

// directives are those of Cache-Control in a request or an answer that a private
// cache heeds. Where a header contradicts itself or can't be read, they are the
// strictest that it may have meant.
type directives struct {
	noStore        bool
	noCache        bool
	noCacheFields  []string // of no-cache="…": canonical names of what may not be used again
	mustRevalidate bool
	mustUnderstand bool
	public         bool
	private        bool
	onlyIfCached   bool

	maxAge               time.Duration // as all below: absent, or from 0 to longest
	minFresh             time.Duration
	maxStale             time.Duration
	staleIfError         time.Duration
	staleWhileRevalidate time.Duration
}

func parseDirectives(lines []string) directives {
	d := directives{maxAge: absent, minFresh: absent, maxStale: absent, staleIfError: absent, staleWhileRevalidate: absent}
	for _, rest := range lines {
		for {
			var next directive
			var ok bool
			if next, rest, ok = cutDirective(rest); !ok {
				break
			}
			d.add(next)
		}
	}
	return d
}

// requestDirectives takes an old client's Pragma into account.
func requestDirectives(h http.Header) directives {
	lines := h["Cache-Control"]
	d := parseDirectives(lines)
	if len(lines) == 0 {
		for _, line := range h["Pragma"] {
			for part := range strings.SplitSeq(line, ",") {
				if strings.EqualFold(strings.Trim(part, " \t"), "no-cache") {
					d.noCache = true
				}
			}
		}
	}
	return d
}

// directive is one of Cache-Control.
type directive struct {
	name  string // in lower case
	value string // without quotes
	given bool   // there was a "="
	sound bool   // name and value are written as they must be
	open  bool   // a quote is not closed, or stands where none may: it could hide anything
}

// cutDirective takes the first directive off a line. It is false at its end.
func cutDirective(line string) (d directive, rest string, ok bool) {
	line = strings.TrimLeft(line, " \t,")
	if line == "" {
		return d, "", false
	}
	end := strings.IndexAny(line, "=,")
	if end < 0 {
		end = len(line)
	}
	name := line[:end]
	trimmed := strings.TrimRight(name, " \t")
	d = directive{name: strings.ToLower(trimmed), sound: isToken(trimmed), open: strings.Contains(name, `"`)}
	if end == len(line) || line[end] == ',' {
		return d, line[end:], true
	}
	d.given = true
	d.sound = d.sound && name == trimmed // nothing between name and "="
	rest = line[end+1:]
	if strings.HasPrefix(rest, `"`) {
		var closed bool
		d.value, rest, closed = cutQuoted(rest)
		after, more, _ := strings.Cut(rest, ",")
		d.open = d.open || !closed || strings.Contains(after, `"`)
		d.sound = d.sound && closed && strings.Trim(after, " \t") == ""
		return d, more, true
	}
	value, rest, _ := strings.Cut(rest, ",")
	d.value = strings.TrimRight(value, " \t")
	d.open = d.open || strings.Contains(value, `"`)
	d.sound = d.sound && isToken(d.value)
	return d, rest, true
}

// cutQuoted takes a quoted string off s, which starts with its quote.
func cutQuoted(s string) (value, rest string, closed bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return b.String(), "", false
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", false
}

func (d *directives) add(next directive) {
	seconds, number := parseSeconds(next.value)
	number = number && next.sound
	// shorter keeps the shorter time; what can't be read is none at all.
	shorter := func(time *time.Duration) {
		if !number {
			seconds = 0
		}
		if *time == absent || seconds < *time {
			*time = seconds
		}
	}
	switch next.name {
	case "no-store":
		d.noStore = true
	case "no-cache":
		fields, ok := fieldNames(next.value)
		if ok && next.given && next.sound && len(fields) > 0 && !slices.ContainsFunc(fields, decisive) {
			d.noCacheFields = append(d.noCacheFields, fields...)
		} else {
			d.noCache = true
		}
	case "must-revalidate":
		d.mustRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "public":
		d.public = true
	case "private":
		d.private = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		shorter(&d.maxAge)
	case "stale-if-error":
		shorter(&d.staleIfError)
	case "stale-while-revalidate":
		shorter(&d.staleWhileRevalidate)
	case "max-stale":
		if !next.given && next.sound { // however stale
			seconds, number = longest, true
		}
		shorter(&d.maxStale)
	case "min-fresh":
		if !number {
			seconds = longest
		}
		d.minFresh = max(d.minFresh, seconds)
	}
	if next.open {
		d.noStore = true
	}
}

// decisive reports whether the cache itself goes by a field, and so can't leave it
// out.
func decisive(name string) bool {
	switch name {
	case "Age", "Cache-Control", "Date", "Etag", "Expires", "Last-Modified", "Vary":
		return true
	}
	return false
}

// fieldNames reads a list of names of fields.
func fieldNames(list string) (names []string, ok bool) {
	for part := range strings.SplitSeq(list, ",") {
		name := strings.Trim(part, " \t")
		if name == "" {
			continue
		}
		if !isToken(name) {
			return nil, false
		}
		names = append(names, http.CanonicalHeaderKey(name))
	}
	return names, true
}

// parseSeconds reads delta-seconds. What is more than longest is that.
func parseSeconds(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if n = n*10 + int64(s[i]-'0'); n >= int64(longest/time.Second) {
			return longest, true
		}
	}
	return time.Duration(n) * time.Second, true
}

// parseAge reads Age: the first of several counts, and none if it can't be read.
func parseAge(lines []string) time.Duration {
	if len(lines) == 0 {
		return 0
	}
	first, _, _ := strings.Cut(lines[0], ",")
	age, _ := parseSeconds(strings.Trim(first, " \t"))
	return age
}

// parseDate reads a date. It is false if there is none, or several that differ, or
// one that can't be read.
func parseDate(lines []string) (time.Time, bool) {
	if len(lines) == 0 {
		return time.Time{}, false
	}
	for _, line := range lines[1:] {
		if line != lines[0] {
			return time.Time{}, false
		}
	}
	t, err := http.ParseTime(lines[0])
	return t, err == nil
}

// parseVary returns the fields by which an answer varies, sorted, canonical and
// each once. It is false if no other request can be known to get the same.
func parseVary(lines []string) (names []string, ok bool) {
	for _, line := range lines {
		more, ok := fieldNames(line)
		if !ok {
			return nil, false
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if slices.Contains(names, "*") || len(names) > maxVary {
		return nil, false
	}
	bytes := 0
	for i, name := range names {
		bytes += len(name)
		names[i] = strings.Clone(name) // a part of the line would hold all of it
	}
	return slices.Clone(names), bytes <= maxVaryBytes // without the room of those that were there twice
}

// isToken reports whether s is a token of HTTP.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}
