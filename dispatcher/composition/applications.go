package composition

import (
	"fmt"
	"strings"

	"pappus/dispatcher/shard"
	"pappus/engine"
)

// The form of applications, read by recursive descent. Its words are words by
// where they stand: a set may be called all.

// module reads declarations of functions and compositions.
func (p *parser) module() *module {
	m := new(module)
	for !p.ended() {
		switch t := p.peek(); {
		case p.accept(wordFunction):
			if len(m.functions) == MaxFunctions {
				p.fail(t.place, "register parts of it by themselves", "the source declares more than %d functions", MaxFunctions)
				return m
			}
			if f, ok := p.function(); ok {
				m.functions = append(m.functions, f)
			} else {
				p.skipDeclaration()
			}
		case p.accept(wordComposition):
			if len(m.compositions) == MaxCompositions {
				p.fail(t.place, "register some of them by themselves", "the source has more than %d compositions", MaxCompositions)
				return m
			}
			if c := p.composition(); c != nil {
				m.compositions = append(m.compositions, c)
			}
		default:
			hint := beginnings
			if p.text(0) == ";" && len(m.compositions) > 0 {
				hint = "a composition ends with }, and without ;"
			}
			p.fail(t.place, p.like(p.text(0), []string{wordFunction, wordComposition}, hint), "a declaration can't begin with %s", p.found())
			p.take()
			p.skipDeclaration()
		}
	}
	if len(m.compositions) == 0 && len(p.errors) == 0 {
		p.fail(p.peek().place, "declare one: composition Name(inputs) => (outputs) { … }; or write a script, which begins with input, output or ephemeral", "the source has no composition")
	}
	return m
}

// declares reports whether a declaration begins here.
func (p *parser) declares() bool {
	first := p.text(0)
	return p.peek().kind == tokenName && (first == wordFunction || first == wordComposition)
}

// skipDeclaration goes to where the next declaration begins.
func (p *parser) skipDeclaration() {
	for !p.ended() && !p.declares() {
		p.take()
	}
}

// skipStatement goes behind the end of an application.
func (p *parser) skipStatement() {
	for !p.ended() && p.text(0) != "}" && !p.declares() {
		if p.accept(";") {
			return
		}
		p.take()
	}
}

// function reads a declaration of a function after its first word.
func (p *parser) function() (*function, bool) {
	f := new(function)
	var ok bool
	if f.name, ok = p.name("the function's name"); !ok {
		return nil, false
	}
	if p.accept("=") {
		t := p.peek()
		if t.kind != tokenString {
			p.fail(t.place, `write it like: function F = "name@tag" (inputs) => (outputs);`, `the reference in " is missing; found %s`, p.found())
			return nil, false
		}
		f.reference = name{strings.Trim(p.text(0), `"`), t.place}
		if f.reference.text == "" {
			p.fail(t.place, "name a registered function", "the reference is empty")
			f.reference.text = f.name.text
		}
		p.take()
	}
	if f.inputs, ok = p.names("the function's name", "the name of an input"); !ok {
		return nil, false
	}
	if !p.expect("=>", "the inputs", "") {
		return nil, false
	}
	if f.outputs, ok = p.names("=>", "the name of an output"); !ok {
		return nil, false
	}
	if !p.expect(";", "the declaration", "") && !p.declares() {
		p.skipDeclaration()
	}
	p.mark()
	return f, true
}

// composition reads a composition after its first word. It returns nil if not
// even its name is there.
func (p *parser) composition() *declaration {
	c := new(declaration)
	var ok bool
	if c.name, ok = p.name("the composition's name"); !ok {
		p.skipDeclaration()
		return nil
	}
	head := func() bool {
		inputs, ok := p.names("the composition's name", "the name of an input")
		c.inputs = params(inputs)
		if !ok || !p.expect("=>", "the inputs", "") {
			return false
		}
		outputs, ok := p.names("=>", "the name of an output")
		c.outputs = params(outputs)
		return ok
	}
	begin := p.at
	if !head() {
		for !p.ended() && p.text(0) != "{" && !p.declares() {
			p.take()
		}
		p.misread(c, begin)
	}
	if !p.expect("{", "the outputs", "applications stand in { and }") {
		p.skipDeclaration()
		p.misread(c, begin)
		return c
	}
	p.mark()
	defer p.mark()
	for !p.accept("}") {
		begin = p.at
		if p.ended() || p.declares() {
			p.fail(p.behind(), "", "%q is missing at the end of composition %.80s", "}", c.name.text)
			return c
		}
		if p.apps == MaxApplications {
			p.fail(p.peek().place, "register parts of it by themselves", "the source has more than %d applications", MaxApplications)
			p.skipDeclaration()
			p.misread(c, begin)
			return c
		}
		p.apps++
		a, ok := p.application()
		if a != nil {
			c.apps = append(c.apps, a)
		}
		switch {
		case !ok:
			if a != nil {
				a.torn = true
			}
			p.skipStatement()
			p.misread(c, begin)
		case !p.expect(";", "the application", ""):
			// What follows is perhaps the next one.
			if begin = p.at; p.text(1) != "(" {
				p.skipStatement()
				p.misread(c, begin)
			}
		default:
			p.mark()
		}
	}
	return c
}

func params(names []name) []param {
	list := make([]param, len(names))
	for i, n := range names {
		list[i] = param{n, engine.TypeSet}
	}
	return list
}

// application reads one without its ;. What it understood of one with errors it
// returns too.
func (p *parser) application() (a *application, ok bool) {
	callee, ok := p.name("the name of a function")
	if !ok {
		return nil, false
	}
	a = &application{callee: callee}
	if !p.list(fmt.Sprintf("%.80s", callee.text), func() bool { return p.argument(a) }) || !p.expect("=>", "the arguments", "") ||
		!p.list("=>", func() bool { return p.result(a) }) {
		return a, false
	}
	if !p.accept("by") {
		if t := p.peek(); t.kind == tokenName && t.breaks == 0 {
			p.fail(t.place, p.like(p.text(0), []string{"by"}, "after the outputs there is ; or by"), "an application can't go on with %s", p.found())
			return a, false
		}
		return a, true
	}
	return a, p.join(a)
}

// argument reads parameter = [optional] shard set.
func (p *parser) argument(a *application) bool {
	param, ok := p.name("the name of a parameter")
	hint := "write it like: " + clip(param.text) + " = all logs"
	if _, isKind := kindOf(param.text); (isKind || param.text == "optional") && p.peek().kind == tokenName {
		hint = "the function's parameter comes first: parameter = " + clip(param.text) + " " + clip(p.text(0))
		if _, isKind := kindOf(p.text(0)); isKind && !strings.ContainsAny(p.text(1), "(){},;=:") {
			hint += " " + clip(p.text(1))
		}
	}
	if !ok || !p.expect("=", "the parameter", hint) {
		return false
	}
	var words []name
	const most = 4
	for p.peek().kind == tokenName && len(words) < most {
		n, _ := p.name("")
		words = append(words, n)
	}
	arg := argument{param: param}
	if len(words) > 2 && words[0].text == "optional" {
		arg.optional, words = true, words[1:]
	}
	switch len(words) {
	case 0:
		p.fail(p.peek().place, "write it like: all logs", "a set is missing; found %s", p.found())
		return false
	case 1:
		arg.set = words[0]
		if _, isKind := kindOf(arg.set.text); isKind || arg.set.text == "optional" {
			p.fail(p.behind(), "", "the name of a set is missing after %s", arg.set.text)
			return false
		}
		p.fail(arg.set.place, fmt.Sprintf("write all %[1]s for the whole set in every instance, each %[1]s for an instance an item, keyed %[1]s for an instance a key", clip(arg.set.text)), "how %.80s is divided is missing", arg.set.text)
	case 2:
		arg.set = words[1]
		if arg.kind, ok = kindOf(words[0].text); !ok {
			p.notAKind(words[0])
		}
	default:
		at := words[len(words)-1]
		hint := "it is: parameter = shard set, or parameter = optional shard set"
		p.fail(at.place, hint, "there is a word too many: %.40q", at.text)
		return false
	}
	a.args = append(a.args, arg)
	return true
}

func (p *parser) notAKind(word name) {
	if word.text == "optional" {
		p.fail(word.place, "write it like: optional all logs", "how the set is divided is missing after optional")
		return
	}
	kinds := []string{shard.All.String(), shard.Each.String(), shard.Keyed.String(), shard.AnyEach.String(), shard.AnyKeyed.String()}
	p.fail(word.place, p.like(word.text, kinds, "there are "+strings.Join(kinds, ", ")), "a set can't be divided by %.40q", word.text)
}

// result reads set = return.
func (p *parser) result(a *application) bool {
	set, ok := p.name("the name of a set")
	if !ok || !p.expect("=", "the set", "write it like: "+clip(set.text)+" = the function's output") {
		return false
	}
	output, ok := p.name("the name of the function's output")
	if ok {
		a.outs = append(a.outs, result{set, output})
	}
	return ok
}

// join reads a chain after by.
func (p *parser) join(a *application) bool {
	first, ok := p.name("the name of a parameter after by")
	if !ok {
		return false
	}
	a.chain = []link{{param: first}}
	for p.peek().kind == tokenName && (p.peek().breaks == 0 || p.text(1) != "(") {
		word, _ := p.name("")
		join, known := joinOf(word.text)
		if !known {
			joins := []string{shard.Cross.String(), shard.Inner.String(), shard.Left.String(), shard.Right.String(), shard.Full.String(), "outer"}
			p.fail(word.place, p.like(word.text, joins, "there are "+strings.Join(joins, ", ")), "there is no join %.40q", word.text)
		}
		param, ok := p.name("the name of a parameter after " + clip(word.text))
		if !ok {
			return false
		}
		a.chain = append(a.chain, link{param, join})
	}
	if len(a.chain) == 1 {
		p.fail(first.place, "join it to another: by "+clip(first.text)+" inner other; or leave by out", "by joins parameters, and there is only %.80s", first.text)
	}
	return true
}

// Lengths in bytes of names and declarations in messages.
const (
	maxShown       = 80
	maxDeclaration = 400
)

// clip shortens a name to what a message shows.
func clip(text string) string { return clipTo(text, maxShown) }

func clipTo(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
