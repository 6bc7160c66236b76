package wasmengine

import (
	"errors"
	"os"
	"strings"
	"testing"

	"pappus/engine"
	"pappus/wasmengine/binary"
)

// Every cap has a hint of its own kind, which names what the operator can raise.
func TestCapsHaveHints(t *testing.T) {
	caps := binary.DefaultCaps()
	caps.Each(func(name string, _ *int) {
		hint := rejectDecoding(&binary.Error{Kind: binary.ErrLimit, Cap: name}).Hint
		if capHint(name) == capHint("") || !strings.HasPrefix(hint, capHint(name)) {
			t.Errorf("%s: %s", name, hint)
		}
		if name != "imports" && !strings.Contains(hint, "raise "+name+" in module-limits") {
			t.Errorf("%s: %s", name, hint)
		}
	})
}

// A table that is too large is said to be a table.
func TestTableThatIsTooLargeHasAHint(t *testing.T) {
	code, err := os.ReadFile("testdata/hostile/table-declared.wasm")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Interpreter: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	var refused *engine.RejectedError
	if _, err := e.Inspect(code); !errors.As(err, &refused) || !strings.Contains(refused.Hint, "smaller tables") || !strings.Contains(refused.Hint, "table-size") {
		t.Errorf("%v, %+v", err, refused)
	}
}
