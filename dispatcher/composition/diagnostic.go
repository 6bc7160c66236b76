package composition

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pappus/internal/suggest"
)

// Diagnostic is something that is wrong with a source, or looks wrong.
type Diagnostic struct {
	Position
	Warning bool   // the source is accepted all the same
	Message string // what is wrong, on one line
	Hint    string // what to do about it; may be empty

	// Source is the line that it is in, and Caret the number of its characters
	// that stand before the place. Of a long line it is the part around the place.
	Source string
	Caret  int
}

// String is position and message on one line.
func (d Diagnostic) String() string {
	severity := "error"
	if d.Warning {
		severity = "warning"
	}
	return fmt.Sprintf("%d:%d: %s: %s", d.Line, d.Column, severity, d.Message)
}

// Text is the diagnostic as compilers show it: message, line, caret, and hint,
// each on a line of its own.
func (d Diagnostic) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d)
	gutter := fmt.Sprint(d.Line)
	blank := strings.Repeat(" ", len(gutter))
	fmt.Fprintf(&b, " %s | %s\n %s | ", gutter, d.Source, blank)
	before := d.Caret
	for _, r := range d.Source {
		if before == 0 {
			break
		}
		before--
		if r != '\t' { // which is as wide below as above
			r = ' '
		}
		b.WriteRune(r)
	}
	fmt.Fprintf(&b, "%s^\n", strings.Repeat(" ", before))
	if d.Hint != "" {
		fmt.Fprintf(&b, " %s = hint: %s\n", blank, d.Hint)
	}
	return b.String()
}

// InvalidError says why a source is not a composition.
type InvalidError struct {
	Diagnostics []Diagnostic // the errors, in order of place; at most MaxErrors
	More        bool         // whether there may be others
}

func (e *InvalidError) Error() string {
	first := e.Diagnostics[0]
	text := fmt.Sprintf("line %d, column %d: %s", first.Line, first.Column, first.Message)
	if n := len(e.Diagnostics) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// place is where in a source something stands.
type place struct{ offset, line, column int32 }

func (p place) position() Position { return Position{int(p.line), int(p.column)} }

// Bounds on the work for hints: names that are compared, and their length in
// bytes. Comparing takes the product of two lengths.
const (
	maxLikeness  = 20_000
	maxLikeBytes = 64
)

// reporter collects what is wrong with a source.
type reporter struct {
	source   string
	errors   []Diagnostic
	warnings []Diagnostic
	seen     map[string]bool
	more     bool
	compared int

	unreadable map[int32]bool // lines with errors of the lexer
}

func newReporter(source string) *reporter {
	return &reporter{source: source, seen: map[string]bool{}, unreadable: map[int32]bool{}}
}

// full reports whether further errors are not kept.
func (r *reporter) full() bool { return len(r.errors) >= MaxErrors }

// fail reports an error. A place has one error of a kind.
func (r *reporter) fail(at place, hint, format string, args ...any) {
	if r.full() {
		r.more = true
		return
	}
	r.add(&r.errors, false, at, hint, format, args...)
}

// warn reports a warning.
func (r *reporter) warn(at place, hint, format string, args ...any) {
	if len(r.warnings) < MaxErrors {
		r.add(&r.warnings, true, at, hint, format, args...)
	}
}

func (r *reporter) add(list *[]Diagnostic, warning bool, at place, hint, format string, args ...any) {
	d := Diagnostic{Position: at.position(), Warning: warning, Message: shown(fmt.Sprintf(format, args...)), Hint: shown(hint)}
	if key := d.String(); !r.seen[key] {
		r.seen[key] = true
		d.Source, d.Caret = excerpt(r.source, int(at.offset))
		*list = append(*list, d)
	}
}

// maxText is the length in bytes of the longest message or hint, about.
const maxText = 1000

// shown is a text without what would disturb a terminal or fill a screen.
func shown(text string) string { return strings.Map(visible, clipTo(text, maxText)) }

// err is the error of all that was reported, or nil.
func (r *reporter) err() error {
	if len(r.errors) == 0 {
		return nil
	}
	sortByPlace(r.errors)
	return &InvalidError{r.errors, r.more}
}

func sortByPlace(list []Diagnostic) {
	slices.SortStableFunc(list, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// like is "did you mean …?" with the name that is most like one, or rest, or both.
func (r *reporter) like(name string, among []string, rest string) string {
	if found, ok := r.closest(name, among); ok {
		return fmt.Sprintf("did you mean %s? %s", found, rest)
	}
	return rest
}

func (r *reporter) closest(name string, among []string) (string, bool) {
	if len(name) > maxLikeBytes || r.full() {
		return "", false
	}
	among = among[:min(len(among), maxLikeness-r.compared)]
	r.compared += len(among)
	short := make([]string, 0, len(among))
	for _, candidate := range among {
		if len(candidate) <= maxLikeBytes {
			short = append(short, candidate)
		}
	}
	return suggest.Closest(name, short)
}

// Characters of a line that a diagnostic shows at most, before and after the place.
const (
	shownBefore = 80
	shownAfter  = 60
)

// visible replaces characters that are none, or would change how the line looks.
func visible(c rune) rune {
	if c == '\t' || unicode.IsPrint(c) {
		return c
	}
	return utf8.RuneError
}

// excerpt is the line around an offset, and how many of its characters stand
// before it.
func excerpt(source string, offset int) (line string, caret int) {
	start, before := offset, 0
	for start > 0 && source[start-1] != '\n' && before < shownBefore {
		_, size := utf8.DecodeLastRuneInString(source[:start])
		start -= size
		before++
	}
	end, after := offset, 0
	for end < len(source) && source[end] != '\n' && after < shownAfter {
		_, size := utf8.DecodeRuneInString(source[end:])
		end += size
		after++
	}
	line = strings.TrimSuffix(source[start:end], "\r")
	if start == 0 {
		if trimmed, ok := strings.CutPrefix(line, byteOrderMark); ok && before > 0 {
			line, before = trimmed, before-1
		}
	} else if source[start-1] != '\n' {
		line, before = "…"+line, before+1
	}
	if end < len(source) && source[end] != '\n' {
		line += "…"
	}
	return strings.Map(visible, line), min(before, utf8.RuneCountInString(line)) // which may lack a \r
}
