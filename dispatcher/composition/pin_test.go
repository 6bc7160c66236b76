package composition_test

import (
	"errors"
	"strings"
	"testing"

	"pappus/data"
	"pappus/dispatcher/composition"
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
