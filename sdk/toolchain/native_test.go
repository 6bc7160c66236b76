package toolchain

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// CC chooses the compiler, and one for another machine is refused.
func TestNativeCompilerOfCC(t *testing.T) {
	dir, tools := t.TempDir(), t.TempDir()
	write(t, dir, "main.c", "")
	for name, script := range map[string]string{
		"clang-99": "case $1 in --version) echo Some clang version 99;; *) echo x86_64-pc-linux-gnu;; esac",
		"cross":    "case $1 in --version) echo gcc 99;; *) echo aarch64-none-elf;; esac",
		"host":     "case $1 in --version) echo gcc 99;; *) echo x86_64-linux-gnu;; esac",
		"broken":   "echo aarch64-linux-gnu; exit 1",
	} {
		write(t, tools, name, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(filepath.Join(tools, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"clang-99": clangName, "cross": crossName} {
		way, err := wayOf(t.Context(), Named("c").Native, filepath.Join(tools, name))
		if err != nil || way.Tools[0].Name != want || way.Tools[0].Variable != "CC" {
			t.Errorf("%s: %+v, %v", name, way, err)
		}
	}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"host": "x86_64-linux-gnu", "broken": "", "none": ""} {
		cc := filepath.Join(tools, name)
		b := &Builder{Cache: t.TempDir(), LookupEnv: func(name string) (string, bool) { return cc, name == "CC" }}
		var foreign *CompilerError
		if _, err := b.Build(t.Context(), p, Options{Native: true}); !errors.As(err, &foreign) || *foreign != (CompilerError{cc, target}) || foreign.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

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
	none := func(string) (string, bool) { return "", false }
	for i, way := range Named("c").Native {
		b := &Builder{Cache: cache, LookupEnv: none}
		tools, err := b.find(way)
		if err != nil {
			t.Logf("%v: it is not tried", err)
			continue
		}
		t.Run(slices.Sorted(maps.Keys(tools))[0], func(t *testing.T) {
			only := &Language{Name: "c", Native: Named("c").Native[i : i+1]}
			var first []byte
			for _, b := range []*Builder{b, {Cache: t.TempDir(), LookupEnv: none}, b} {
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
	if _, err := (&Builder{Cache: cache, LookupEnv: none}).Build(t.Context(), p, Options{Native: true}); !errors.As(err, &missing) || missing.Install() != nativeHint {
		t.Errorf("without a compiler: %v", err)
	}
	write(t, dir, "other.cpp", "")
	if p, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	var not *NotNativeError
	if _, err := (&Builder{Cache: cache, LookupEnv: none}).Build(t.Context(), p, Options{Native: true}); !errors.As(err, &not) || not.Language != "c++" {
		t.Errorf("in C++: %v", err)
	}
}
