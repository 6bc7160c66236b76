package composition

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// lineWidth is how many characters a line of a formatted source has at most,
// comments apart, unless names need more.
const lineWidth = 100

const indentation = "    "

// Format gives a source the form that all have: a statement a line, and of those
// that are too long an item of a list a line. Names, comments and the order of
// everything stay as they are, and so does the graph. It fails with *InvalidError
// if the source can't be read; whether it makes sense is not looked at.
func Format(source string) (string, error) {
	r := newReporter(source)
	if r.tooLarge() {
		return "", r.err()
	}
	tokens := lex(r)
	p := newParser(r, tokens)
	m := p.parse()
	if err := r.err(); err != nil {
		return "", err
	}
	f := &formatter{source: source, script: m.script, ends: p.ends}
	for _, t := range tokens {
		f.token(t)
	}
	return f.b.String(), nil
}

// formatter writes statements as their ends are reached.
type formatter struct {
	source string
	script bool
	ends   []int32 // offsets of the ends of statements that are to come
	b      strings.Builder

	statement []piece   // which has begun and not ended
	blank     bool      // whether a blank line stands before it
	comments  []comment // that stand before it
	level     int       // of indentation: 1 in a composition
	open      bool      // the last line can take a comment
	top       bool      // nothing was written yet in this composition or source
	after     bool      // a composition has just ended
}

// piece is a token of a statement, or a comment in it.
type piece struct {
	text    string
	comment bool
	own     bool // the comment begins its line
}

type comment struct {
	text  string
	blank bool // whether a blank line stands before it
}

// token takes the next token of the source.
func (f *formatter) token(t token) {
	text := strings.TrimRight(f.source[t.offset:t.end], " \t\r")
	inside := len(f.statement) > 0
	switch {
	case t.kind == tokenEnd:
		f.finish()
	case t.kind == tokenComment && inside:
		f.statement = append(f.statement, piece{text, true, t.breaks > 0})
	case t.kind == tokenComment && t.breaks == 0 && f.open:
		f.b.WriteString(" " + text)
		f.endLine()
	case t.kind == tokenComment:
		f.endLine()
		f.comments = append(f.comments, comment{text, t.breaks > 1})
	default:
		f.endLine()
		if !inside {
			f.blank = t.breaks > 1
		}
		f.statement = append(f.statement, piece{text: text})
		if len(f.ends) > 0 && f.ends[0] == t.end {
			f.ends = f.ends[1:]
			f.write()
		}
	}
}

// endLine ends the last line, which no comment comes behind.
func (f *formatter) endLine() {
	if f.open {
		f.b.WriteByte('\n')
		f.open = false
	}
}

// finish writes what stands behind the last statement.
func (f *formatter) finish() {
	f.endLine()
	f.writeComments()
}

func (f *formatter) writeComments() {
	for _, c := range f.comments {
		f.line(c.text, c.blank)
		f.b.WriteByte('\n')
	}
	f.comments = nil
}

// line begins a line.
func (f *formatter) line(text string, blank bool) {
	if blank && f.b.Len() > 0 && !f.top {
		f.b.WriteByte('\n')
	}
	f.top = false
	f.b.WriteString(strings.Repeat(indentation, f.level) + text)
}

// write writes the statement, but for the end of its last line.
func (f *formatter) write() {
	s := f.statement
	f.statement = nil
	first, last := s[0].text, s[len(s)-1].text
	closes := !f.script && first == "}"
	begins := !f.script && last == "{"
	f.hoist(&s)
	if begins || f.after {
		if len(f.comments) > 0 {
			f.comments[0].blank = true
		} else {
			f.blank = true
		}
	}
	f.writeComments()
	if closes {
		f.level, f.blank = 0, false
	}
	text := flat(s)
	wide := utf8.RuneCountInString(text)+f.level*len(indentation) > lineWidth
	if wide || slices.ContainsFunc(s, func(p piece) bool { return p.comment }) {
		text = f.broken(s)
	}
	f.line(text, f.blank)
	f.open, f.after = true, closes
	if begins {
		f.level, f.top = 1, true
	}
}

// hoist takes comments that stand between the parts of a statement, and not in its
// lists, out of it: they come before it.
func (f *formatter) hoist(s *[]piece) {
	var rest []piece
	depth, tokens, declaration := 0, 0, f.isDeclaration(*s)
	for _, p := range *s {
		listed := depth > 0 || declaration && tokens > 1
		if p.comment && !listed {
			f.comments = append(f.comments, comment{p.text, f.blank})
			f.blank = false
			continue
		}
		switch {
		case p.comment:
		case p.text == "(":
			depth++
		case p.text == ")":
			depth--
		}
		if !p.comment {
			tokens++
		}
		rest = append(rest, p)
	}
	*s = rest
}

// isDeclaration reports whether a statement is a list of names in a script.
func (f *formatter) isDeclaration(s []piece) bool {
	return f.script && !slices.ContainsFunc(s, func(p piece) bool { return p.text == "=" && !p.comment })
}

// flat is a statement on one line, without commas before the end of a list.
func flat(s []piece) string {
	var b strings.Builder
	before := ""
	for i, p := range s {
		if p.comment || p.text == "," && (i == len(s)-1 || s[i+1].text == ")") {
			continue
		}
		if before != "" && spaced(before, p.text) {
			b.WriteByte(' ')
		}
		b.WriteString(p.text)
		before = p.text
	}
	return b.String()
}

// spaced reports whether a blank stands between two tokens.
func spaced(before, next string) bool {
	switch next {
	case ",", ";", ")":
		return false
	case "(":
		return before == "=>" || before == "=" || strings.HasPrefix(before, `"`)
	}
	return before != "("
}

// broken is a statement with an item of its lists a line.
func (f *formatter) broken(s []piece) string {
	outer := "\n" + strings.Repeat(indentation, f.level)
	if f.isDeclaration(s) {
		return flat(s[:2]) + f.list(s[2:], outer+indentation, "")
	}
	if colon := slices.IndexFunc(s, func(p piece) bool { return p.text == ":" && !p.comment }); colon >= 0 {
		outer += indentation
		head, call := flat(s[:colon+1])+outer, s[colon+1:]
		text := flat(call)
		if utf8.RuneCountInString(text)+len(outer)-1 <= lineWidth && !slices.ContainsFunc(call, func(p piece) bool { return p.comment }) {
			return head + text
		}
		return head + f.brokenLists(call, outer)
	}
	return f.brokenLists(s, outer)
}

func (f *formatter) brokenLists(s []piece, outer string) string {
	var b strings.Builder
	for len(s) > 0 {
		open := slices.IndexFunc(s, func(p piece) bool { return p.text == "(" && !p.comment })
		if open < 0 {
			text := flat(s)
			if b.Len() > 0 && spaced(")", s[0].text) {
				text = " " + text
			}
			b.WriteString(text)
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(flat(s[:open+1]))
		s = s[open+1:]
		end := slices.IndexFunc(s, func(p piece) bool { return p.text == ")" && !p.comment })
		if list := f.list(s[:end], outer+indentation, ","); list != "" {
			b.WriteString(list + outer)
		}
		b.WriteByte(')')
		s = s[end+1:]
	}
	return b.String()
}

// entry is an item of a list with the comments before it and behind it.
type entry struct {
	lead  []string
	text  []piece
	trail []string
}

// list is the items of a list, each on a line of its own, after the last one a
// comma or nothing.
func (f *formatter) list(s []piece, line, last string) string {
	var entries []entry
	var e entry
	for _, p := range s {
		switch {
		case p.comment && len(e.text) > 0:
			e.trail = append(e.trail, p.text)
		case p.comment && !p.own && len(e.lead) == 0 && len(entries) > 0 && len(entries[len(entries)-1].trail) == 0:
			entries[len(entries)-1].trail = []string{p.text}
		case p.comment:
			e.lead = append(e.lead, p.text)
		case p.text == ",":
			entries = append(entries, e)
			e = entry{}
		default:
			e.text = append(e.text, p)
		}
	}
	if len(e.text) > 0 {
		entries = append(entries, e)
		e = entry{}
	}
	var b strings.Builder
	for i, e := range entries {
		for _, c := range e.lead {
			b.WriteString(line + c)
		}
		b.WriteString(line + flat(e.text))
		if i < len(entries)-1 {
			b.WriteByte(',')
		} else {
			b.WriteString(last)
		}
		for i, c := range e.trail {
			if i == 0 {
				b.WriteString(" " + c)
			} else {
				b.WriteString(line + c)
			}
		}
	}
	for _, c := range e.lead {
		b.WriteString(line + c)
	}
	return b.String()
}
