package toolchain

import (
	"errors"
	"strings"
	"testing"
)

// What linkers say is explained where it is of what this has or has not.
func TestHints(t *testing.T) {
	for _, c := range []struct{ language, said, want string }{
		{"c-libc", "wasm-ld-14: error: duplicate symbol: _start\n>>> defined in a.o", `"int main(void)" in place of PAPPUS_FUNCTION`},
		{"c", "ld: a.o: multiple definition of `_start'; b.o: first defined here", "PAPPUS_FUNCTION"},
		{"c", "wasm-ld: error: main.o: undefined symbol: abort", "nothing here has abort"},
		{"c", "ld: main.o: in function `run':\nmain.c:3: undefined reference to `abort'", "nothing here has abort"},
		{"c++", "wasm-ld: error: main.o: undefined symbol: abort", "pappus new c++-libc NAME"},
		{"c-libc", "wasm-ld-14: error: main.o: undefined symbol: socket", "nothing here has socket"},
		{"c-libc", "wasm-ld-14: error: a.o: undefined symbol: main", "int main(void)"},
		{"c", "main.c:1:1: error: expected identifier", ""},
		{"c", "error: duplicate symbol: _started", ""},
		{"rust", "rust-lld: error: undefined symbol: abort", ""},
	} {
		hint := (&ToolError{Language: c.language, Output: c.said}).Hint()
		if (hint == "") != (c.want == "") || !strings.Contains(hint, c.want) {
			t.Errorf("%s: %q: %q", c.language, c.said, hint)
		}
	}
}

// The tools that are here say it in such words.
func TestHintsOfTools(t *testing.T) {
	const function = "static int run(void) { return 0; }\nPAPPUS_FUNCTION(run)\n"
	for _, c := range []struct{ language, source, want string }{
		{"c-libc", "#include <pappus.h>\n#include <stdlib.h>\n" + function, "in place of PAPPUS_FUNCTION"},
		{"c-libc", "#include <stdio.h>\nint socket(int, int, int);\nint main(void) { return socket(1, 2, 3); }\n", "has socket"},
		{"c-libc", "#include <stdio.h>\n", "int main(void)"},
		{"c", "#include <pappus.h>\nvoid abort(void);\nstatic int run(void) { abort(); return 0; }\nPAPPUS_FUNCTION(run)\n", "has abort"},
	} {
		b := &Builder{Cache: t.TempDir(), LookupEnv: func(string) (string, bool) { return "", false }}
		need(t, b, c.language)
		dir := t.TempDir()
		write(t, dir, "main.c", c.source)
		p, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var refused *ToolError
		if _, err := b.Build(t.Context(), p, Options{}); !errors.As(err, &refused) || !strings.Contains(refused.Hint(), c.want) {
			t.Errorf("%s: %v, %+v", c.source, err, refused)
		}
	}
}
