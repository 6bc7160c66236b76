package composition_test

import (
	"errors"
	"strings"
	"testing"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/engine"
)

func TestPin(t *testing.T) {
	digest := func(reference string) (data.Digest, error) {
		if reference == "gone" {
			return data.Digest{}, errors.New("is not there")
		}
		if reference == "HTTP" { // which has none
			return data.Digest{}, nil
		}
		return data.Sum([]byte(reference)), nil
	}
	pinned := func(name, reference string) string {
		return `"` + name + "@" + data.Sum([]byte(reference)).String() + `"`
	}
	const rest = " => (b);"
	fixed := `function D = ` + pinned("d", "other") + `(a)` + rest
	source := "function HTTP(r) => (h);\n# one\nfunction A(a)" + rest + " function B (a)" + rest + "\nfunction C=\"c@prod\"(a)" + rest + "\n" + fixed + "\ncomposition E(a) => (a) { }\n"
	want := "function HTTP(r) => (h);\n# one\nfunction A = " + pinned("A", "A") + " (a)" + rest + " function B = " + pinned("B", "B") + " (a)" + rest +
		"\nfunction C=" + pinned("c", "c@prod") + "(a)" + rest + "\n" + fixed + "\ncomposition E(a) => (a) { }\n"
	got, err := composition.Pin(source, digest)
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if again, err := composition.Pin(got, digest); err != nil || again != got {
		t.Errorf("%v\n%s", err, again)
	}
	if _, _, err := composition.Compile(t.Context(), got, composition.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := composition.Pin("function gone() => (); composition C() => () { }", digest); err == nil || !strings.Contains(err.Error(), "pin gone: is not there") {
		t.Error(err)
	}
	if _, err := composition.Pin("input set a\noutput set a", digest); !errors.Is(err, composition.ErrScript) {
		t.Error(err)
	}
	var invalid *composition.InvalidError
	for _, source := range []string{"function A(", strings.Repeat(" ", composition.MaxSource+1)} {
		if _, err := composition.Pin(source, digest); !errors.As(err, &invalid) {
			t.Error(err)
		}
	}
}

func TestBreaks(t *testing.T) {
	sig := func(inputs, outputs string) engine.Signature {
		return engine.Signature{Inputs: paramsOf(inputs), Outputs: paramsOf(outputs)}
	}
	open := engine.OpenSignature()
	given := sig("a b", "output")
	given.Open = true
	for _, c := range []struct {
		checked, now engine.Signature
		want         string
	}{
		{sig("a b", "c"), sig("a b", "c"), ""},
		{sig("a b", "c"), sig("x y", "z"), ""},
		{sig("a b", "c"), sig("b a", "c"), "its input 1 is a, which is number 2"},
		{sig("a b", "c"), sig("a", "c"), "2 inputs"},
		{sig("a b", "c"), sig("a b", "c d"), "1 output"},
		{sig("a b", "c"), sig("a b:item", "c"), "its input b is now exactly one item"},
		{sig("a b:item", "c"), sig("a b", "c"), ""},
		{sig("a", "c:item"), sig("a", "c"), "its output c is no longer exactly one item"},
		{sig("a", "c"), sig("a", "c:item"), ""},
		{given, open, ""},
		{given, sig("a b", "c"), ""},
		{given, sig("a", "c"), "2 inputs"},
		{sig("a b", "c"), open, ""},
		{sig("a b", "c d"), open, "2 outputs"},
	} {
		got := composition.Reference{Name: "f", Signature: c.checked}.Breaks(c.now)
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v, now %v: %q, want %q", c.checked, c.now, got, c.want)
		}
	}
}
