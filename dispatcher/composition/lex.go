package composition

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"pappus/data"
)

// byteOrderMark may begin a source.
const byteOrderMark = "\ufeff"

// tokenKind is what a token is; punctuation is known by its text.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota // of the source
	tokenName
	tokenString // with its quotation marks
	tokenPunct
	tokenComment // to the end of its line
)

// token is a word of the source. There may be as many as it has bytes, so it is
// small: its text is in the source.
type token struct {
	place
	end    int32
	kind   tokenKind
	breaks uint8 // line breaks before it: 0, 1, or 2 for more
}

// lexer cuts a source into tokens, in one pass.
type lexer struct {
	*reporter
	at     place
	breaks uint8
	tokens []token

	garbled bool // something is not UTF-8
}

// lex cuts a source into tokens, comments included; the last is tokenEnd. What is
// none is reported and left out.
func lex(r *reporter) []token {
	l := &lexer{reporter: r, at: place{0, 1, 1}}
	if strings.HasPrefix(r.source, byteOrderMark) {
		l.at.offset = int32(len(byteOrderMark))
	}
	for int(l.at.offset) < len(r.source) && !r.full() {
		l.next()
	}
	l.tokens = append(l.tokens, token{place: l.at, end: l.at.offset, kind: tokenEnd, breaks: l.breaks})
	return l.tokens
}

// fail reports an error that makes its line unreadable.
func (l *lexer) fail(at place, hint, format string, args ...any) {
	l.unreadable[at.line] = true
	l.reporter.fail(at, hint, format, args...)
}

// step goes over the next character and returns it.
func (l *lexer) step() rune {
	c, size := utf8.DecodeRuneInString(l.source[l.at.offset:])
	if c == utf8.RuneError && size == 1 && !l.garbled {
		l.garbled = true
		l.fail(l.at, "save the source as UTF-8", "the source is not UTF-8")
	}
	l.at.offset += int32(size)
	if c == '\n' {
		l.at.line++
		l.at.column = 1
		l.breaks = min(l.breaks+1, 2)
	} else {
		l.at.column++
	}
	return c
}

// rest is what of the source is not yet cut.
func (l *lexer) rest() string { return l.source[l.at.offset:] }

func (l *lexer) emit(kind tokenKind, from place) {
	l.tokens = append(l.tokens, token{place: from, end: l.at.offset, kind: kind, breaks: l.breaks})
	l.breaks = 0
}

func (l *lexer) next() {
	from, rest := l.at, l.rest()
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		l.step()
	case c == '#' || strings.HasPrefix(rest, "//"):
		for text := l.rest(); text != "" && text[0] != '\n'; text = l.rest() {
			l.step()
		}
		l.emit(tokenComment, from)
	case isNameStart(c) || isNamePart(c):
		for text := l.rest(); text != ""; text = l.rest() {
			if c, _ := utf8.DecodeRuneInString(text); !isNamePart(c) {
				break
			}
			l.step()
		}
		l.emit(tokenName, from)
		l.checkName(from, l.source[from.offset:l.at.offset])
	case c == '"':
		l.string(from)
	case strings.HasPrefix(rest, "=>"):
		l.step()
		l.step()
		l.emit(tokenPunct, from)
	case strings.ContainsRune("(){},;=:", c):
		l.step()
		l.emit(tokenPunct, from)
	default:
		l.unexpected(from, c, size)
	}
}

// checkName holds a name to its form; what follows it can be read all the same.
func (l *lexer) checkName(from place, name string) {
	if first, _ := utf8.DecodeRuneInString(name); !isNameStart(first) {
		l.reporter.fail(from, "put a letter or _ before it", "the name %.40q does not begin with a letter", name)
	}
	if len(name) > data.MaxSetName {
		l.reporter.fail(from, "take a shorter one", "the name %.40q… is longer than %d bytes", name, data.MaxSetName)
	}
}

func (l *lexer) string(from place) {
	l.step()
	for text := l.rest(); text != "" && text[0] != '\n'; text = l.rest() {
		at := l.at
		c := l.step()
		if c == '"' {
			l.emit(tokenString, from)
			return
		}
		if !unicode.IsPrint(c) {
			l.fail(at, "leave it out", "unexpected character %U in a reference", c)
		}
	}
	l.fail(from, `end it with " on the same line`, "the reference is not closed")
	l.emit(tokenString, from)
}

// unexpected reports a character that begins nothing, and those like it behind it.
func (l *lexer) unexpected(from place, c rune, size int) {
	arrow := strings.HasPrefix(l.rest(), "->")
	for text := l.rest(); text != ""; text = l.rest() {
		if next, _ := utf8.DecodeRuneInString(text); next != c && (!arrow || next != '>') {
			break
		}
		l.step()
	}
	hint := "names are letters, digits and _"
	switch {
	case c == utf8.RuneError && size == 1: // which is reported
		return
	case arrow || c == '>':
		l.fail(from, "an application's outputs follow =>", "unexpected %q", l.source[from.offset:l.at.offset])
		return
	case c == '/':
		hint = "comments begin with # or //, and end with their line"
	case strings.ContainsRune("-.@", c):
		if hint += `; a function of another name, or of a tag, is declared: function F = "resize-image@prod" (image) => (thumb);`; l.script() {
			hint = "names in a script are letters, digits and _; to apply a function of another name, or of a tag, write the form of applications, which gives it one: docs/compositions.md"
		}
	case c == '[' || c == ']':
		hint = "inputs and outputs stand in ( and )"
	case c == '\'':
		hint = `references stand in "`
	case unicode.IsSpace(c):
		hint = "white space is blanks, tabs and line ends"
	}
	if unicode.IsPrint(c) {
		l.fail(from, hint, "unexpected character %q", c)
	} else {
		l.fail(from, hint, "unexpected character %U", c)
	}
}

// script reports whether what was cut so far begins a script.
func (l *lexer) script() bool { return beginsScript(l.firstWord(l.tokens)) }

func isNameStart(c rune) bool { return c == '_' || unicode.IsLetter(c) }
func isNamePart(c rune) bool {
	return isNameStart(c) || unicode.IsDigit(c) || unicode.Is(unicode.M, c)
}
