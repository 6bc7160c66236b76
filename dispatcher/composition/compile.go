package composition

import (
	"context"
	"fmt"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// Bounds on a source. What is beyond them is an error of it.
const (
	MaxSource       = 1 << 20 // bytes
	MaxFunctions    = 10_000  // declarations of functions
	MaxCompositions = 1_000
	MaxApplications = 10_000 // in all compositions together
	MaxSets         = 10_000 // that a script declares of one kind
	MaxNesting      = 16     // compositions in one another, the entry being the first
	MaxErrors       = 100    // errors, and as many warnings, that are reported
)

// Callee is a registered function or composition, as far as applying it needs to
// be known.
type Callee struct {
	// What the reference says: a name and at most one of the others.
	Name   string
	Tag    string
	Number int64
	Digest data.Digest

	// IO says that it is an I/O function: then the reference is a name only.
	IO bool

	Signature engine.Signature

	// Applies are the references of a composition, so that recursion is found;
	// nil for functions.
	Applies []string
}

// UnknownError says that nothing is registered under a reference.
type UnknownError struct {
	Reason string   // why, if it is another reason than that it is not there: "has no tag x"; may be empty
	Near   []string // names that are registered, of which the likeliest is suggested; need not be all
	Hint   string   // what to do, if it is another thing than to look at what is registered; may be empty
}

func (e *UnknownError) Error() string {
	if e.Reason == "" {
		return "nothing is registered under that name"
	}
	return e.Reason
}

// Resolver knows what is registered.
type Resolver interface {
	// Resolve finds what a reference names: "name", "name@tag", "name@3" or
	// "name@sha256:…". It fails with *UnknownError if there is no such thing, or if
	// the reference is malformed; with other errors if it can't be known, which end
	// the compilation.
	Resolve(ctx context.Context, reference string) (*Callee, error)
}

// Options are what Compile can be told.
type Options struct {
	// Name is that under which the source is registered. It chooses the entry
	// among several compositions and names a script. If it is empty the entry is
	// the only composition that no other one applies.
	Name string

	// Resolver is asked about functions. If it is nil the declarations are
	// believed, and a script's functions have as many inputs and outputs as they
	// are given: such a graph can be shown, and not run.
	Resolver Resolver

	// Nesting is how many compositions of the source may stand in one another; 0
	// means MaxNesting.
	Nesting int

	// Reserved reports whether a name belongs to the platform. May be nil.
	Reserved func(name string) bool
}

// Compile makes a graph of a source of either form. It fails with *InvalidError,
// which holds every mistake, or with the error of the resolver or of ctx. Warnings
// are there in every case. It takes time linear in the source, resolving apart.
func Compile(ctx context.Context, source string, opts Options) (g *Graph, warnings []Diagnostic, err error) {
	r := newReporter(source)
	if r.tooLarge() {
		return nil, nil, r.err()
	}
	m := newParser(r, lex(r)).parse()
	c := newChecker(r, m, opts)
	if err := c.check(ctx); err != nil {
		return nil, r.warnings, err
	}
	sortByPlace(r.warnings)
	if err := r.err(); err != nil {
		return nil, r.warnings, err
	}
	g = c.graph()
	if err := g.Check(); err != nil {
		return nil, r.warnings, fmt.Errorf("make a graph: %w", err)
	}
	return g, r.warnings, nil
}

// IsScript reports whether a source is in the form of scripts: whether its first
// word is one that begins them.
func IsScript(source string) bool {
	r := newReporter(source)
	return !r.tooLarge() && newParser(r, lex(r)).isScript()
}

// Begins reports whether a text begins like a source, of either form.
func Begins(text string) bool {
	r := newReporter(text)
	return !r.tooLarge() && begins(r.firstWord(lex(r)))
}

// tooLarge reports a source that is not even looked at.
func (r *reporter) tooLarge() bool {
	size := len(r.source)
	if size <= MaxSource {
		return false
	}
	r.source = ""
	r.fail(place{0, 1, 1}, "divide it into several", "the source has %d bytes; the most is %d", size, MaxSource)
	return true
}

// Declaration is what a source has to say to apply what has that signature:
// "function Resize = "resize@prod" (image) => (thumb);". Sets whose names are none
// of the language get others.
func Declaration(word, reference string, sig engine.Signature) string {
	names := func(params []engine.Param, other string) string {
		list, used := make([]string, len(params)), map[string]bool{}
		for i, p := range params {
			if list[i] = p.Name; !isName(p.Name) || used[p.Name] {
				list[i] = fmt.Sprintf("%s%d", other, i+1)
			}
			used[list[i]] = true
		}
		return strings.Join(list, ", ")
	}
	text := "function " + word + " "
	if reference != word {
		text = fmt.Sprintf("function %s = %q ", word, reference)
	} else {
		text = strings.TrimSuffix(text, " ")
	}
	return fmt.Sprintf("%s(%s) => (%s);", text, names(sig.Inputs, "in"), names(sig.Outputs, "out"))
}

// isName reports whether a text is a name of the language.
func isName(text string) bool {
	for i, c := range text {
		if i == 0 && !isNameStart(c) || !isNamePart(c) {
			return false
		}
	}
	return text != "" && text != wordFunction && text != wordComposition && len(text) <= data.MaxSetName
}
