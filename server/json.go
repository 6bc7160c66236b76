package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"pappus/server/api"
	"pappus/server/problem"
)

// readJSON takes the sets out of a JSON body:
//
//	{"inputs": {"SET": [{"name": "a", "key": 0, "data": "<base64>"}, {"text": "…"}]}}
//
// Nothing is guessed: members that are unknown or appear twice, items without
// exactly one of data and text, strings that are not UTF-8, base64 that is not
// canonical, and anything after the object are errors that name the path.
//
// Strings are decoded where they stand, which never takes more room than their
// JSON: body is overwritten and the items refer to it.
func readJSON(body []byte, into *collector) error {
	p := jsonParser{b: body, into: into}
	p.document()
	if p.err != nil {
		return p.err
	}
	return nil
}

// jsonParser reads the one shape that a body can have. After the first error
// everything it returns is zero.
type jsonParser struct {
	b    []byte
	at   int
	into *collector

	set    string // where it is, for errors
	index  int
	member string
	depth  int // of the path: 0 top, 1 inputs, 2 set, 3 item, 4 member

	err error
}

func (p *jsonParser) path() string {
	var b strings.Builder
	switch p.depth {
	case 0:
		return "body"
	default:
		b.WriteString("inputs")
	}
	if p.depth >= 2 {
		if isPlain(p.set) {
			b.WriteString("." + p.set)
		} else {
			b.WriteString("[" + quote(p.set) + "]")
		}
	}
	if p.depth >= 3 {
		b.WriteString("[" + strconv.Itoa(p.index) + "]")
	}
	if p.depth >= 4 {
		b.WriteString("." + p.member)
	}
	return b.String()
}

func isPlain(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') && name[i] != '_' && name[i] != '-' {
			return false
		}
	}
	return name != ""
}

func (p *jsonParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = located(p.path(), fmt.Sprintf(format, args...))
	}
}

// located is a bad-body problem of one place.
func located(path, message string) *problem.Problem {
	e := problem.New(problem.BadBody, path+": "+message)
	e.Errors = []api.Located{{Path: path, Message: message}}
	return e
}

// locate adds a path to a problem that has none.
func locate(err error, path string) error {
	var e *problem.Problem
	if errors.As(err, &e) && e.Errors == nil {
		e.Errors = []api.Located{{Path: path, Message: e.Detail}}
		e.Detail = path + ": " + e.Detail
	}
	return err
}

func (p *jsonParser) document() {
	seen := false
	p.object(func(name string) {
		if name != "inputs" {
			p.fail("unknown member %s; there is only \"inputs\" (for a function that takes JSON, add set=, item= or key= to the query)", quote(name))
			return
		}
		if seen {
			p.fail("member \"inputs\" appears twice")
			return
		}
		seen = true
		p.depth = 1
		p.inputs()
		p.depth = 0
	})
	if p.err == nil && !seen {
		p.fail("there is no member \"inputs\" (for a function that takes JSON, add set=, item= or key= to the query)")
	}
	if p.space(); p.err == nil && p.at < len(p.b) {
		p.fail("something follows the JSON object, at byte %d", p.at)
	}
}

func (p *jsonParser) inputs() {
	p.object(func(name string) {
		p.set, p.depth = name, 2
		defer func() { p.depth = 1 }()
		set, fresh, err := p.into.set(name)
		if err != nil {
			p.wrap(err)
			return
		}
		if !fresh {
			p.fail("the set appears twice")
			return
		}
		p.array(func(i int) {
			p.index, p.depth = i, 3
			p.item(set)
			p.depth = 2
		})
	})
}

// wrap takes over an error of the collector, adding the path where the error
// is about the body.
func (p *jsonParser) wrap(err error) {
	if p.err != nil {
		return
	}
	p.err = locate(err, p.path())
}

func (p *jsonParser) item(set int) {
	var name string
	var content []byte
	var key uint32
	var hasName, hasKey, hasData, hasText bool
	p.object(func(member string) {
		var flag *bool
		switch member {
		case "name":
			flag = &hasName
		case "key":
			flag = &hasKey
		case "data":
			flag = &hasData
		case "text":
			flag = &hasText
		default:
			p.fail("unknown member %s; an item has name, key, and data or text", quote(member))
			return
		}
		p.member, p.depth = member, 4
		if *flag {
			p.fail("the member appears twice")
		}
		*flag = true
		switch member {
		case "name":
			name = string(p.string())
		case "key":
			key = p.key()
		case "text":
			content = p.string()
		case "data":
			content = p.base64(p.string())
		}
		p.depth = 3
	})
	switch {
	case p.err != nil:
	case hasData && hasText:
		p.fail("the item has both data and text; it can have one")
	case !hasData && !hasText:
		p.fail("the item has neither data (base64) nor text")
	default:
		if err := p.into.add(set, name, key, content); err != nil {
			p.wrap(err)
		}
	}
}

// object calls member for each member's name, with the value next to be read.
func (p *jsonParser) object(member func(name string)) {
	if !p.expect('{', "an object") {
		return
	}
	for first := true; p.err == nil; first = false {
		if p.space(); p.peek() == '}' && first {
			p.at++
			return
		}
		name := string(p.string())
		if p.space(); p.err == nil && p.peek() != ':' {
			p.syntax("':'")
		}
		p.at++
		if p.err != nil {
			return
		}
		if member(name); p.err != nil {
			return
		}
		if !p.more('}') {
			return
		}
	}
}

func (p *jsonParser) array(element func(i int)) {
	if !p.expect('[', "an array of items") {
		return
	}
	for i := 0; p.err == nil; i++ {
		if p.space(); p.peek() == ']' && i == 0 {
			p.at++
			return
		}
		if element(i); p.err != nil {
			return
		}
		if !p.more(']') {
			return
		}
	}
}

// more steps over what stands between two elements, or the end.
func (p *jsonParser) more(end byte) bool {
	p.space()
	switch p.peek() {
	case ',':
		p.at++
		return true
	case end:
		p.at++
	default:
		p.syntax("',' or '" + string(end) + "'")
	}
	return false
}

// expect steps over the character that begins a value.
func (p *jsonParser) expect(c byte, what string) bool {
	p.space()
	if p.err != nil {
		return false
	}
	if p.peek() != c {
		if p.at >= len(p.b) {
			p.syntax(what)
		} else {
			p.fail("is not %s", what)
		}
		return false
	}
	p.at++
	return true
}

func (p *jsonParser) space() {
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte, or 0 at the end; 0 can begin nothing.
func (p *jsonParser) peek() byte {
	if p.at < len(p.b) {
		return p.b[p.at]
	}
	return 0
}

func (p *jsonParser) syntax(want string) {
	if p.at >= len(p.b) {
		p.fail("the JSON ends at byte %d, where %s should stand", p.at, want)
	} else {
		p.fail("not JSON at byte %d: %q instead of %s", p.at, rune(p.b[p.at]), want)
	}
}

// string decodes a string in place.
func (p *jsonParser) string() []byte {
	if !p.expect('"', "a string") {
		return nil
	}
	from := p.at
	to := from // where the next decoded byte goes; never beyond p.at
	for p.at < len(p.b) {
		c := p.b[p.at]
		switch {
		case c == '"':
			p.at++
			s := p.b[from:to:to]
			if !utf8.Valid(s) {
				p.fail("the string is not UTF-8")
				return nil
			}
			return s
		case c == '\\':
			n, ok := p.escape(p.b[to:to:len(p.b)])
			if !ok {
				return nil
			}
			to += n
		case c < 0x20:
			p.fail("the control character U+%04X stands in a string at byte %d; write it as an escape", c, p.at)
			return nil
		default:
			p.b[to] = c
			to++
			p.at++
		}
	}
	p.syntax("the end of a string")
	return nil
}

// escape decodes the escape at p.at to the end of dst, and returns how many
// bytes it became: fewer than it had.
func (p *jsonParser) escape(dst []byte) (int, bool) {
	if p.at+1 >= len(p.b) {
		p.at = len(p.b)
		p.syntax("an escape")
		return 0, false
	}
	c := p.b[p.at+1]
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(from, c); i >= 0 {
		p.at += 2
		return len(append(dst, to[i])), true
	}
	r, ok := p.unicode()
	if ok && utf16.IsSurrogate(r) {
		low, okLow := p.unicode()
		if r = utf16.DecodeRune(r, low); !okLow || r == utf8.RuneError {
			p.fail("half of a surrogate pair stands alone before byte %d", p.at)
			return 0, false
		}
	}
	if !ok {
		p.fail("there is no such escape in JSON, at byte %d", p.at)
		return 0, false
	}
	return len(utf8.AppendRune(dst, r)), true
}

// unicode reads \uXXXX.
func (p *jsonParser) unicode() (rune, bool) {
	if len(p.b)-p.at < 6 || p.b[p.at] != '\\' || p.b[p.at+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.b[p.at+2 : p.at+6] {
		d := strings.IndexByte("0123456789abcdefABCDEF", c)
		if d < 0 {
			return 0, false
		}
		if d >= 16 {
			d -= 6
		}
		r = r<<4 | rune(d)
	}
	p.at += 6
	return r, true
}

func (p *jsonParser) key() uint32 {
	p.space()
	from := p.at
	for p.at < len(p.b) && strings.IndexByte("+-.0123456789eE", p.b[p.at]) >= 0 {
		p.at++
	}
	digits := string(p.b[from:p.at])
	n, err := parseKey(digits)
	if err != nil && digits == "" {
		p.fail("is not a number")
	} else if err != nil {
		p.fail("%v", err)
	}
	return n
}

// parseKey reads the key of an item, which has one spelling.
func parseKey(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%.40q is not an integer from 0 to %d", s, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

// base64 decodes s in place, a block at a time so that source and destination
// of the decoder never overlap.
func (p *jsonParser) base64(s []byte) []byte {
	if p.err != nil {
		return nil
	}
	const block = 1024
	var buf [block / 4 * 3]byte
	to := 0
	for from := 0; from < len(s); from += block {
		src := s[from:min(from+block, len(s))]
		n, err := base64.StdEncoding.Strict().Decode(buf[:], src)
		// The decoder skips line ends, so what it took counts as well; only
		// the last block may be padded.
		last := from+block >= len(s)
		if err != nil || !last && n != len(buf) || last && base64.StdEncoding.EncodedLen(n) != len(src) {
			p.fail("is not base64 (the standard alphabet, padded, without line ends)")
			return nil
		}
		to += copy(s[to:], buf[:n])
	}
	return s[:to:to]
}
