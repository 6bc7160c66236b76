package composition

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"pappus/dispatcher/shard"
	"pappus/engine"
)

// What a source consists of, whichever form it has. Of a script there is one
// declaration, and its applications are positional.

// name is a name where it stands.
type name struct {
	text string
	place
}

// module is a source.
type module struct {
	script       bool
	functions    []*function
	compositions []*declaration
}

// function declares that a name stands for a registered function.
type function struct {
	name      name
	reference name // text "" if it is the name itself
	inputs    []name
	outputs   []name
}

// param is an input or output of a composition.
type param struct {
	name
	typ string
}

// declaration is a composition as written.
type declaration struct {
	name      name
	inputs    []param
	outputs   []param
	ephemeral []param // of a script
	apps      []*application

	// unread are the names in statements that have errors of syntax: what seems to
	// be missing may be among them.
	unread map[string]bool
}

// application is one as written.
type application struct {
	callee name
	args   []argument
	outs   []result
	chain  []link
	item   name // of a script's loop
	torn   bool // it has errors of syntax
}

type argument struct {
	param    name // text "" in a script
	set      name
	kind     shard.Kind
	optional bool
}

type result struct {
	set    name
	output name // text "" in a script
}

type link struct {
	param name
	join  shard.Join
}

// parser reads tokens, and looks ahead by two.
type parser struct {
	*reporter
	tokens []token // without comments
	at     int
	apps   int     // how many applications there are so far
	ends   []int32 // offsets of the ends of statements, in a source without errors
}

// Words that begin something.
const (
	wordFunction    = "function"
	wordComposition = "composition"
	wordInput       = "input"
	wordOutput      = "output"
	wordEphemeral   = "ephemeral"
)

// newParser makes one that reads tokens, comments apart.
func newParser(r *reporter, tokens []token) *parser {
	p := &parser{reporter: r, tokens: make([]token, 0, len(tokens))}
	for _, t := range tokens {
		if t.kind != tokenComment {
			p.tokens = append(p.tokens, t)
		}
	}
	return p
}

// parse reads a source. What is wrong with it is in the reporter: of something
// else than a composition, that it is none, and nothing that follows from it.
func (p *parser) parse() *module {
	var m *module
	var nothing bool // was understood
	if p.isScript() {
		m = p.script()
		d := m.compositions[0]
		nothing = len(d.inputs)+len(d.outputs)+len(d.ephemeral)+len(d.apps) == 0
	} else {
		m = p.module()
		nothing = len(m.compositions) == 0
	}
	if nothing && len(p.errors) > 1 && !begins(p.firstWord(p.tokens)) {
		p.errors, p.more = nil, false
		p.reporter.fail(p.tokens[0].place, beginnings, "this is no composition")
		return new(module)
	}
	return m
}

// beginnings says how sources begin.
const beginnings = "a source has declarations that begin with " + wordFunction + " or " + wordComposition +
	"; a script begins with " + wordInput + ", " + wordOutput + " or " + wordEphemeral

// firstWord is the first token that is no comment; empty if there is none.
func (r *reporter) firstWord(tokens []token) string {
	for _, t := range tokens {
		if t.kind != tokenComment {
			return r.source[t.offset:t.end]
		}
	}
	return ""
}

// begins reports whether a word can be the first of a source.
func begins(word string) bool {
	return word == wordFunction || word == wordComposition || beginsScript(word)
}

func beginsScript(word string) bool {
	return word == wordInput || word == wordOutput || word == wordEphemeral
}

// fail reports an error, unless the line has characters that could not be read: then
// what follows from them is no help.
func (p *parser) fail(at place, hint, format string, args ...any) {
	if !p.unreadable[at.line] {
		p.reporter.fail(at, hint, format, args...)
	}
}

// misread notes the names that stand in tokens that were not, or not all,
// understood.
func (p *parser) misread(d *declaration, from int) {
	if d.unread == nil {
		d.unread = map[string]bool{}
	}
	for _, t := range p.tokens[from:p.at] {
		if t.kind == tokenName {
			d.unread[p.source[t.offset:t.end]] = true
		}
	}
}

// mark notes that a statement ends behind the last token.
func (p *parser) mark() { p.ends = append(p.ends, p.tokens[p.at-1].end) }

// isScript decides by the first word which form the source has.
func (p *parser) isScript() bool {
	first := p.text(0)
	declares := []string{wordInput, wordOutput, wordEphemeral}
	if p.tokens[0].kind != tokenName || slices.Contains(declares, first) || first == wordFunction || first == wordComposition {
		return slices.Contains(declares, first)
	}
	if like, ok := p.closest(first, append(declares, wordFunction, wordComposition)); ok && slices.Contains(declares, like) {
		return true
	}
	// A script that declares nothing begins with a statement.
	return p.text(1) == "=" || p.text(1) == ","
}

func (p *parser) peek() token { return p.tokens[min(p.at, len(p.tokens)-1)] }

// text is the text of the token that is so many ahead; "" at the end.
func (p *parser) text(ahead int) string {
	t := p.tokens[min(p.at+ahead, len(p.tokens)-1)]
	return p.source[t.offset:t.end]
}

func (p *parser) take() token {
	t := p.peek()
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// accept takes the next token if it is that.
func (p *parser) accept(text string) bool {
	if p.peek().kind == tokenString || p.text(0) != text || text == "" {
		return false
	}
	p.take()
	return true
}

// ended reports whether nothing is left, or nothing else would be kept.
func (p *parser) ended() bool { return p.peek().kind == tokenEnd || p.full() }

// found describes the next token.
func (p *parser) found() string {
	if p.peek().kind == tokenEnd {
		return "the end of the source"
	}
	return fmt.Sprintf("%.40q", p.text(0))
}

// behind is the place after the last token that was taken: where something is
// missing.
func (p *parser) behind() place {
	if p.at == 0 {
		return p.peek().place
	}
	t := p.tokens[p.at-1]
	at := t.place
	at.column += int32(utf8.RuneCountInString(p.source[t.offset:t.end]))
	at.offset = t.end
	return at
}

// expect takes punctuation, or reports that it is missing.
func (p *parser) expect(text, after, hint string) bool {
	if p.accept(text) {
		return true
	}
	p.fail(p.behind(), hint, "%q is missing after %s; found %s", text, after, p.found())
	return false
}

// name takes a name, or reports that it is missing.
func (p *parser) name(what string) (name, bool) {
	t := p.peek()
	if t.kind != tokenName {
		p.fail(t.place, "", "%s is missing; found %s", what, p.found())
		return name{}, false
	}
	n := name{p.text(0), t.place}
	p.take()
	return n, true
}

// list reads what stands between ( and ), with commas between, by item. It
// returns false after an error.
func (p *parser) list(what string, item func() bool) bool {
	if !p.expect("(", what, "") {
		return false
	}
	for n := 0; !p.accept(")"); n++ {
		if n == engine.MaxParams {
			p.fail(p.peek().place, "gather some of them in one set", "a list has more than %d names", engine.MaxParams)
			return false
		}
		if !item() {
			return false
		}
		if p.text(0) != ")" && !p.expect(",", strings.TrimSpace(p.source[p.tokens[p.at-1].offset:p.tokens[p.at-1].end]), `the list ends with ")"`) {
			return false
		}
	}
	return true
}

// names reads a list of names.
func (p *parser) names(after, what string) ([]name, bool) {
	var list []name
	ok := p.list(after, func() bool {
		n, ok := p.name(what)
		if ok {
			list = append(list, n)
		}
		return ok
	})
	return list, ok
}
