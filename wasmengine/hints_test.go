package wasmengine

import (
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
)

func TestHints(t *testing.T) {
	given := []data.Set{{Name: "text", Items: []*data.Item{data.NewItem("a", 0, nil)}}, {Name: stdioSet}}
	sig := engine.Signature{Outputs: []engine.Param{{Name: "o", Type: engine.TypeSet}}}
	speaking := engine.Signature{Outputs: []engine.Param{{Name: stdioSet, Type: engine.TypeSet}}}
	trap := func(detail string, stack ...string) *engine.Fault {
		return &engine.Fault{Kind: engine.FaultTrap, Detail: detail, Stack: stack}
	}
	exit := func(code int32, stderr string) *engine.Fault {
		return &engine.Fault{Kind: engine.FaultExit, ExitCode: code, Stderr: []byte(stderr)}
	}
	for name, c := range map[string]struct {
		fault *engine.Fault
		sets  []data.Set
		sig   engine.Signature
		want  string // in the hint; "": there is none
	}{
		"unreachable":     {trap("unreachable", "f()"), given, sig, "a failed assertion, a panic"},
		"no stack":        {trap("unreachable"), given, sig, "took for impossible"},
		"memory":          {trap("out of bounds memory access"), given, sig, "stack-size"},
		"division":        {trap("integer divide by zero"), given, sig, "divisor"},
		"function":        {trap("indirect call type mismatch"), given, sig, "function pointer"},
		"other trap":      {trap("something new"), given, sig, ""},
		"silent panic":    {trap("unreachable", "rust_panic()", "f()"), given, sig, "declare an output set stdio"},
		"panic that says": {trap("unreachable", "runtime.fatalpanic()"), given, speaking, "abort, a failed"},
		"Go panics":       {exit(2, "panic: oh\n\ngoroutine 1 [running]:"), given, speaking, "it says on stderr why"},
		"Rust panics":     {exit(101, "thread 'main' panicked at src/main.rs:2:5:\noh"), given, speaking, "it says on stderr why"},
		"Go, memory":      {exit(2, "fatal error: runtime: out of memory"), given, speaking, "out of memory"},
		"Go, stack":       {exit(2, "runtime: goroutine stack exceeds 250000000-byte limit\nfatal error: stack overflow"), given, speaking, "recursion"},
		"own exit":        {exit(3, "usage: x"), given, speaking, ""},
		"never":           {exit(-1, ""), given, sig, "PAPPUS_FUNCTION"},
		"uninitialised":   {exit(256, ""), given, sig, "dandelion_init"},
		"damaged heap":    {exit(257, ""), given, sig, "beyond the end"},
		"double free":     {exit(258, ""), given, sig, "twice"},
		"recursion":       {&engine.Fault{Kind: engine.FaultOutOfStack, Stack: []string{"f(i32) i32 at a.c:3", "f(i32) i32 at a.c:5"}}, given, sig, "f calls itself"},
		"deep":            {&engine.Fault{Kind: engine.FaultOutOfStack, Stack: []string{"f()", "g()"}}, given, sig, ""},
		"nothing given":   {exit(3, ""), []data.Set{{Name: "text"}, {Name: stdioSet}}, sig, "the input set text has no items"},
		"several":         {exit(3, ""), []data.Set{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}, sig, "the input set a, b, c, … has no items"},
		"both":            {trap("integer divide by zero"), []data.Set{{Name: "text"}}, sig, "look at the divisor before dividing"},
		"it says why":     {exit(3, "usage: x"), []data.Set{{Name: "text"}}, speaking, ""},
		"of a program":    {exit(3, ""), []data.Set{{Name: stdioSet}, {Name: "input"}}, speaking, ""},
		"declared":        {exit(3, ""), []data.Set{{Name: "input"}}, sig, "the input set input has no items"},
		"fuel":            {&engine.Fault{Kind: engine.FaultOutOfFuel}, []data.Set{{Name: "text"}}, sig, ""},
	} {
		if got := hintFor(c.fault, emptyOf(c.sets), c.sig); !strings.Contains(got, c.want) || (got == "") != (c.want == "") || strings.Contains(got, "no items") != strings.Contains(c.want, "no items") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What runs says it.
func TestFaultsHaveHints(t *testing.T) {
	e := newEngine(t, Config{})
	if f := faultOf(t, e, lined(t, "v5"), "aaaaabb", enginetest.Limits()); !strings.Contains(f.Hint, "the stack says where") {
		t.Errorf("hint %q", f.Hint)
	}
}

// A hint sends nobody to a stack that is not there.
func TestHintsKnowWhetherThereIsAStack(t *testing.T) {
	for _, stack := range [][]string{nil, {"f()"}} {
		f := &engine.Fault{Kind: engine.FaultTrap, Detail: trapUnreachable, Stack: stack}
		if got := hintFor(f, missing{}, engine.Signature{}); strings.Contains(got, "stack") != (stack != nil) {
			t.Errorf("with the stack %q: %q", stack, got)
		}
	}
}
