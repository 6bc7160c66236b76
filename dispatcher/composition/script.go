package composition

import (
	"fmt"

	"pappus/dispatcher/shard"
	"pappus/engine"
)

// The form of scripts. Statements have no end of their own: they end with a ),
// and lists of names where no comma follows.

// script reads declarations and statements.
func (p *parser) script() *module {
	d := &declaration{name: name{place: p.peek().place}}
	for !p.ended() {
		ok, begin := false, p.at
		switch word := p.text(0); {
		case p.declaresSets():
			ok = p.sets(d)
		case word == wordFunction || word == wordComposition:
			p.fail(p.peek().place, "write all of it in one form: "+wordFunction+" and "+wordComposition+" begin the other one", "a script has no %s", word)
		case p.accept(";"):
			p.fail(p.tokens[p.at-1].place, "leave it out", "a script has no ;")
			continue
		default:
			if p.apps == MaxApplications {
				p.fail(p.peek().place, "register parts of it by themselves", "the source has more than %d applications", MaxApplications)
				p.at = len(p.tokens) - 1
				p.misread(d, begin)
				return &module{script: true, compositions: []*declaration{d}}
			}
			p.apps++
			ok = p.statement(d)
		}
		if !ok {
			p.skipLine()
			p.misread(d, begin)
			continue
		}
		p.mark()
	}
	return &module{script: true, compositions: []*declaration{d}}
}

// declaresSets reports whether a declaration of sets begins here.
func (p *parser) declaresSets() bool {
	word := p.text(0)
	return p.peek().kind == tokenName && (word == wordInput || word == wordOutput || word == wordEphemeral)
}

// skipLine goes to where a statement begins: at the beginning of a line.
func (p *parser) skipLine() {
	if !p.declaresSets() || p.peek().breaks == 0 { // which begins one already
		p.take()
	}
	for ; !p.ended(); p.take() {
		if t := p.peek(); t.breaks > 0 && t.kind == tokenName && (p.declaresSets() || p.text(1) == "=" || p.text(1) == ",") {
			return
		}
	}
}

// sets reads a declaration: input item a, b.
func (p *parser) sets(d *declaration) bool {
	what := p.text(0)
	p.take()
	list := map[string]*[]param{wordInput: &d.inputs, wordOutput: &d.outputs, wordEphemeral: &d.ephemeral}[what]
	t := p.peek()
	typ, ok := p.name("item or set")
	if !ok {
		return false
	}
	if typ.text != engine.TypeItem && typ.text != engine.TypeSet {
		hint := fmt.Sprintf("write it like: %s item %s; a set has any number of items, an item is exactly one", what, clip(typ.text))
		p.fail(t.place, p.like(typ.text, []string{engine.TypeItem, engine.TypeSet}, hint), "item or set is missing after %s; found %.40q", what, typ.text)
		if p.peek().kind != tokenName { // it is a name already
			p.at--
		}
		typ.text = engine.TypeSet
	}
	for {
		if p.declaresSets() {
			p.fail(p.peek().place, "a declaration does not end with a comma", "the name of a set is missing; found %s", p.found())
			return false
		}
		n, ok := p.name("the name of a set")
		if !ok {
			return false
		}
		if len(*list) == MaxSets {
			p.fail(n.place, "gather some of them in one set", "the script declares more than %d sets", MaxSets)
			return false
		}
		*list = append(*list, param{n, typ.text})
		if !p.accept(",") {
			break
		}
	}
	return p.separate("the declaration")
}

// separate reports that a statement does not end where it could.
func (p *parser) separate(after string) bool {
	if t := p.peek(); t.kind != tokenEnd && t.breaks == 0 && p.text(0) != ";" {
		hint := "begin a new line"
		if p.text(0) == "=" {
			hint = "a declaration does not end with a comma"
		}
		p.fail(t.place, hint, "nothing can follow %s; found %s", after, p.found())
		return false
	}
	return true
}

// statement reads a, b = [for each x in set :] f(x, y).
func (p *parser) statement(d *declaration) bool {
	a := new(application)
	for {
		set, ok := p.name("the name of a set")
		if !ok {
			return false
		}
		if len(a.outs) == engine.MaxParams {
			p.fail(set.place, "", "a list has more than %d names", engine.MaxParams)
			return false
		}
		a.outs = append(a.outs, result{set: set})
		if !p.accept(",") {
			break
		}
	}
	if p.text(0) == "(" {
		p.fail(a.outs[0].set.place, fmt.Sprintf("keep what it gives: results = %s(…)", clip(a.outs[0].set.text)), "an application's results are not kept")
		return false
	}
	if word := p.text(0); word == engine.TypeItem || word == engine.TypeSet {
		first := a.outs[0].set
		p.fail(first.place, p.like(first.text, []string{wordInput, wordOutput, wordEphemeral}, "sets are declared by input, output or ephemeral"), "a declaration can't begin with %.40q", first.text)
		return false
	}
	if !p.expect("=", "the results", "write it like: logs = for each request in requests : system_HTTPGet(request)") {
		return false
	}
	var item, source name
	if p.text(0) == "for" && p.text(1) != "(" {
		p.take()
		var ok bool
		if item, source, ok = p.loop(); !ok {
			return false
		}
	}
	var ok bool
	if a.callee, ok = p.name("the name of a function"); !ok {
		return false
	}
	a.item = item
	d.apps = append(d.apps, a)
	used := false
	ok = p.list(clip(a.callee.text), func() bool {
		n, ok := p.name("the name of a set")
		if !ok {
			return false
		}
		arg := argument{set: n, kind: shard.All}
		if item.text != "" && n.text == item.text {
			if used {
				p.fail(n.place, "two parameters that get the same item need a function that takes it once", "%.80s is given twice", n.text)
			}
			used = true
			arg = argument{set: source, kind: shard.Each}
		}
		a.args = append(a.args, arg)
		return true
	})
	if !ok {
		return false
	}
	if item.text != "" {
		if !used {
			p.fail(item.place, "give it to the function, or leave the loop out", "%.80s is not used, so that nothing is done for each", item.text)
		}
	}
	return p.separate("the application")
}

// loop reads each x in set : after for.
func (p *parser) loop() (item, source name, ok bool) {
	const hint = "write it like: for each log in logs : count(log)"
	if !p.accept("each") {
		p.fail(p.behind(), hint, "each is missing after for; found %s", p.found())
		return item, source, false
	}
	if item, ok = p.name("a name for one item"); !ok {
		return item, source, false
	}
	if !p.accept("in") {
		p.fail(p.behind(), hint, "in is missing after %.80s; found %s", item.text, p.found())
		return item, source, false
	}
	if source, ok = p.name("the name of a set"); !ok {
		return item, source, false
	}
	if !p.expect(":", "the set", hint) {
		return item, source, false
	}
	if p.text(0) == "for" && p.text(1) == "each" {
		p.fail(p.peek().place, "several loops are a composition in the form of applications, with each for several parameters", "a loop in a loop is not possible in a script")
		return item, source, false
	}
	return item, source, true
}
