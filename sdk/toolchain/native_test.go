package toolchain

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
)

// The same sources build for Morello, with either compiler, the same again with
// another cache; and what is missing is said.
func TestNative(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.c", "#include <pappus.h>\nPAPPUS_MANIFEST({\"inputs\": [\"a\"], \"outputs\": [\"b\"], \"layout\": \"grow\"});\nstatic int run(void) { return 7; }\nPAPPUS_FUNCTION(run)\n")
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for i, way := range Named("c").Native {
		b := &Builder{Cache: cache}
		tools, err := b.find(way)
		if err != nil {
			t.Logf("%v: it is not tried", err)
			continue
		}
		t.Run(slices.Sorted(maps.Keys(tools))[0], func(t *testing.T) {
			only := &Language{Name: "c", Native: Named("c").Native[i : i+1]}
			var first []byte
			for _, b := range []*Builder{b, {Cache: t.TempDir()}, b} {
				r, err := b.build(t.Context(), p, only, Options{Native: true})
				if err != nil {
					var refused *ToolError
					if errors.As(err, &refused) {
						t.Log(refused.Output)
					}
					t.Fatal(err)
				}
				if r.Output != "" || !bytes.HasPrefix(r.Module, []byte("\x7fELF")) {
					t.Errorf("%q, %d bytes", r.Output, len(r.Module))
				}
				if first != nil && !bytes.Equal(first, r.Module) {
					t.Error("it builds to something else with another cache")
				}
				first = r.Module
				if bytes.Contains(first, []byte(dir)) || bytes.Contains(first, []byte(b.Cache)) {
					t.Error("it names a folder of this machine")
				}
			}
		})
	}

	t.Setenv("PATH", t.TempDir())
	var missing *MissingError
	if _, err := (&Builder{Cache: cache}).Build(t.Context(), p, Options{Native: true}); !errors.As(err, &missing) || missing.Install() != nativeHint {
		t.Errorf("without a compiler: %v", err)
	}
	write(t, dir, "other.cpp", "")
	if p, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	var not *NotNativeError
	if _, err := (&Builder{Cache: cache}).Build(t.Context(), p, Options{Native: true}); !errors.As(err, &not) || not.Language != "c++" {
		t.Errorf("in C++: %v", err)
	}
}
