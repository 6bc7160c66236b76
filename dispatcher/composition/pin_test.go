package composition_test

import (
	"errors"
	"testing"

	"pappus/dispatcher/composition"
)

func TestPin(t *testing.T) {
	pin := func(reference string) (string, error) {
		switch reference {
		case "HTTP":
			return "", nil
		case "bad":
			return "", errors.New("as asked")
		}
		return reference + "!", nil
	}
	for _, c := range []struct{ source, want string }{
		{"function F(a) => (b);", `function F = "F!" (a) => (b);`},
		{"function F (a) => (b); # F(a)", `function F = "F!" (a) => (b); # F(a)`},
		{`function F="x@1"(a) => (b);`, `function F="x@1!"(a) => (b);`},
		{
			"\ufefffunction HTTP(r) => (h, b);\nfunction G = \"ä-g@prod\" (a) => (b);\r\nfunction F(a)=>(b);\ncomposition C(a) => (b) {\n\tF(a = all a) => (b = b);\n}\n",
			"\ufefffunction HTTP(r) => (h, b);\nfunction G = \"ä-g@prod!\" (a) => (b);\r\nfunction F = \"F!\" (a)=>(b);\ncomposition C(a) => (b) {\n\tF(a = all a) => (b = b);\n}\n",
		},
		{"", ""},
	} {
		const rest = "\ncomposition C(a) => (a) {}"
		got, err := composition.Pin(c.source+rest, pin)
		if err != nil || got != c.want+rest {
			t.Errorf("%s becomes %s (%v), want %s", c.source, got, err, c.want)
		}
	}
	if _, err := composition.Pin("input set a\noutput set b\nb = f(a)\n", pin); !errors.Is(err, composition.ErrScript) {
		t.Errorf("a script: %v", err)
	}
	var invalid *composition.InvalidError
	if _, err := composition.Pin("function F(a => (b);", pin); !errors.As(err, &invalid) {
		t.Errorf("a mistake: %v", err)
	}
	if _, err := composition.Pin("function bad(a) => (b);\ncomposition C(a) => (a) {}", pin); err == nil || err.Error() != "as asked" {
		t.Errorf("an error: %v", err)
	}
}
