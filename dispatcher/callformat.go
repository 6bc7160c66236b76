package dispatcher

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// The items that system_Invoke takes and gives are lines and bytes, which a
// program in any language can write and read without a library:
//
//	INVOKE NAME                   a request: NAME, NAME@TAG, NAME@3 or NAME@sha256:…
//	KEY LENGTH SET/ITEM           then for each input item a line like this,
//	…                             LENGTH bytes, and a line feed
//
//	OK FUEL                       an answer, with the output items alike,
//	KEY LENGTH SET/ITEM
//	…
//
//	FAULT KIND FUEL               or why there is none, with a text for people
//	…
//
// Lines end with a line feed. Numbers are decimal, without signs or leading
// zeros. A set's name has no slash, so the first one ends it; an item's name may be
// empty. One form has one meaning, and nothing may follow the last item.

// maxCallLine is the longest line, in bytes: two numbers of at most 10 and 19
// digits, two names, and what separates them.
const maxCallLine = 10 + 1 + 19 + 1 + data.MaxSetName + 1 + data.MaxItemName

// formatError says what is wrong with a request.
type formatError struct {
	at     int // offset in bytes
	reason string
}

func (e *formatError) Error() string { return fmt.Sprintf("at byte %d: %s", e.at, e.reason) }

// callReader reads a request or an answer.
type callReader struct {
	rest []byte
	at   int
}

func (r *callReader) fail(format string, args ...any) error {
	return &formatError{r.at, fmt.Sprintf(format, args...)}
}

// line is the next line without its end.
func (r *callReader) line() (string, error) {
	end := bytes.IndexByte(r.rest[:min(len(r.rest), maxCallLine+1)], '\n')
	if end < 0 {
		return "", r.fail("a line of at most %d bytes with a line feed at its end is missing", maxCallLine)
	}
	return string(r.rest[:end]), nil
}

// skip goes n bytes on.
func (r *callReader) skip(n int) { r.rest, r.at = r.rest[n:], r.at+n }

// number reads a number without sign, leading zeros or anything else.
func number(text string, most uint64) (uint64, bool) {
	if text == "" || len(text) > 1 && text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n <= most
}

// items reads items to the end, into sets in the order in which they first
// appear. The items refer to what was read.
func (r *callReader) items() ([]data.Set, error) {
	var sets []data.Set
	index := map[string]int{}
	count := 0
	for len(r.rest) > 0 {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		keyText, rest, _ := strings.Cut(line, " ")
		lengthText, names, _ := strings.Cut(rest, " ")
		set, name, slash := strings.Cut(names, "/")
		if !slash {
			return nil, r.fail("it is not KEY LENGTH SET/ITEM, but %.80q", line)
		}
		key, ok := number(keyText, math.MaxUint32)
		if !ok {
			return nil, r.fail("%.40q is no key", keyText)
		}
		length, ok := number(lengthText, math.MaxInt64)
		if !ok {
			return nil, r.fail("%.40q is no length", lengthText)
		}
		if err := data.CheckSetName(set); err != nil {
			return nil, r.fail("%v", err)
		}
		if err := data.CheckItemName(name); err != nil {
			return nil, r.fail("%v", err)
		}
		r.skip(len(line) + 1)
		if length >= uint64(len(r.rest)) || r.rest[length] != '\n' {
			return nil, r.fail("the item of %d bytes has no line feed behind it; %d bytes are left", length, len(r.rest))
		}
		if count++; count > MaxItems {
			return nil, r.fail("there are more than %d items", MaxItems)
		}
		i, known := index[set]
		if !known {
			if i = len(sets); i == engine.MaxParams {
				return nil, r.fail("there are more than %d sets", engine.MaxParams)
			}
			index[set] = i
			sets = append(sets, data.Set{Name: set})
		}
		n := int(length)
		sets[i].Items = append(sets[i].Items, data.NewItem(name, uint32(key), r.rest[:n:n]))
		r.skip(n + 1)
	}
	for _, s := range sets {
		s.Order()
	}
	return sets, nil
}

// Words that begin requests and answers.
const (
	wordInvoke = "INVOKE "
	wordOK     = "OK "
	wordFault  = "FAULT "
)

// parseRequest reads a request: what is called, and on which sets.
func parseRequest(b []byte) (reference string, sets []data.Set, err error) {
	r := callReader{rest: b}
	line, err := r.line()
	if err != nil {
		return "", nil, err
	}
	reference, ok := strings.CutPrefix(line, wordInvoke)
	if !ok {
		return "", nil, r.fail("it does not begin with %sNAME, but with %.80q", wordInvoke, line)
	}
	r.skip(len(line) + 1)
	sets, err = r.items()
	return reference, sets, err
}

// itemsSize is how many bytes appendItems appends at most.
func itemsSize(sets []data.Set) int64 {
	var size int64
	for _, s := range sets {
		for _, it := range s.Items {
			size += int64(len("4294967295 9223372036854775807 /\n\n") + len(s.Name) + len(it.Name()) + it.Len())
		}
	}
	return size
}

// appendItems writes the items of sets.
func appendItems(b []byte, sets []data.Set) []byte {
	for _, s := range sets {
		for _, it := range s.Items {
			b = strconv.AppendUint(b, uint64(it.Key()), 10)
			b = append(b, ' ')
			b = strconv.AppendInt(b, int64(it.Len()), 10)
			b = append(b, ' ')
			b = append(append(append(b, s.Name...), '/'), it.Name()...)
			b = append(b, '\n')
			b = append(append(b, it.Bytes()...), '\n')
		}
	}
	return b
}

// okHead begins an answer with outputs.
func okHead(fuel int64) string { return wordOK + strconv.FormatInt(fuel, 10) + "\n" }

// faultAnswer is an answer without outputs.
func faultAnswer(kind string, fuel int64, detail string) []byte {
	return []byte(wordFault + kind + " " + strconv.FormatInt(fuel, 10) + "\n" + detail)
}
