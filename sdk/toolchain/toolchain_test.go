package toolchain

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/wasmengine/binary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, dir, file, content string) {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// need skips a test where the tools of a language are missing.
func need(t *testing.T, b *Builder, language string) {
	t.Helper()
	var missing *MissingError
	if _, err := b.find(Named(language)); errors.As(err, &missing) {
		t.Skipf("%v; %s", err, missing.Install())
	}
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Languages() {
		if l.Name == "" || l.About == "" || l.Plan == nil || seen[l.Name] || Named(l.Name).Name != l.Name {
			t.Errorf("language %+v", l)
		}
		seen[l.Name] = true
		for _, tool := range l.Tools {
			if tool.Name == "" || len(tool.Programs)+len(tool.Files) == 0 || tool.Install == "" {
				t.Errorf("%s: tool %+v", l.Name, tool)
			}
		}
	}
	if Named("cobol") != nil {
		t.Error("there is a language nobody has added")
	}
}

// A new project of every language is recognised as one, builds where its tools
// are, and builds to the same again.
func TestNewProjects(t *testing.T) {
	cache := t.TempDir()
	for _, l := range Languages() {
		t.Run(l.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hello")
			files, err := Create(l, dir, "hello")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				content, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil || bytes.Contains(content, []byte(placeholder)) || strings.HasSuffix(file, ".tmpl") {
					t.Errorf("%s: %v\n%s", file, err, content)
				}
			}
			for _, file := range []string{"README.md", ".gitignore"} {
				if !slices.Contains(files, file) {
					t.Errorf("there is no %s", file)
				}
			}
			if !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, "cases/hello/in/") }) {
				t.Error("there is no case")
			}
			p, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != "hello" {
				t.Errorf("it is named %s", p.Name)
			}
			if of, err := LanguageOf(p); err != nil || of.Name != l.Name {
				t.Fatalf("it is in %v, %v", of, err)
			}
			if _, err := Create(l, dir, "again"); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("made over another: %v", err)
			}
			b := &Builder{Cache: cache}
			need(t, b, l.Name)
			if raceEnabled && l.Name != "c" {
				t.Skip("tools don't race, and the others take seconds each")
			}
			if l.Name == "assemblyscript" {
				withCompiler(t, dir)
			}
			r, err := b.Build(t.Context(), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Output != "" {
				t.Errorf("the tools said %s", r.Output)
			}
			if l.SDK != nil {
				again, err := (&Builder{Cache: t.TempDir()}).Build(t.Context(), p, Options{})
				if err != nil || !bytes.Equal(r.Module, again.Module) {
					t.Errorf("it builds to something else with another cache: %v", err)
				}
			}
			for _, path := range []string{dir, cache} {
				if bytes.Contains(r.Module, []byte(path)) {
					t.Errorf("the module names %s", path)
				}
			}
			stripped, err := b.Build(t.Context(), p, Options{Strip: true})
			if err != nil || len(stripped.Module) > len(r.Module) || bytes.Contains(stripped.Module, []byte(".debug_line")) {
				t.Errorf("stripped: %d bytes instead of %d, %v", len(stripped.Module), len(r.Module), err)
			}
		})
	}
}

// withCompiler has a project use the compiler of AssemblyScript that make has
// installed, so that nothing is fetched.
func withCompiler(t *testing.T, dir string) {
	modules, err := filepath.Abs("../../.cache/assemblyscript/node_modules")
	if err == nil {
		_, err = os.Stat(modules)
	}
	if err != nil {
		t.Skipf("needs the compiler: make assemblyscript: %v", err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
}

func TestLanguageOf(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string // "" for none, "a|b" for several
	}{
		"c":            {[]string{"main.c", "more.c", "x.h"}, "c"},
		"c++":          {[]string{"main.cpp", "old.c"}, "c++"},
		"go":           {[]string{"go.mod", "main.go"}, "go"},
		"rust":         {[]string{"Cargo.toml", "src/lib.rs", "sdk/Cargo.toml"}, "rust"},
		"script":       {[]string{"main.lua", "more.lua"}, "lua"},
		"typescript":   {[]string{"main.ts", "package.json"}, "assemblyscript"},
		"libc":         {[]string{"main.c=#include <stdio.h>"}, "c-libc"},
		"in a header":  {[]string{"main.c=#include \"x.h\"", "x.h= #  include <stdlib.h>"}, "c-libc"},
		"libc++":       {[]string{"main.cc=#include <vector>"}, "c++-libc"},
		"freestanding": {[]string{"main.c=#include <stddef.h>\n#include <pappus.h>\n#include <dandelion/runtime.h>"}, "c"},
		"two":          {[]string{"go.mod", "main.c"}, "go|c"},
		"none":         {[]string{"README.md", "x.wasm"}, ""},
		"hidden":       {[]string{".git/main.c", "build/main.c", "cases/a/in/b/main.c", "node_modules/x/main.c"}, ""},
		"empty folder": {nil, ""},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			name, content, _ := strings.Cut(f, "=")
			write(t, dir, name, content)
		}
		p, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := LanguageOf(p)
		var unknown *UnknownError
		switch {
		case err == nil && l.Name == c.want, errors.As(err, &unknown) && strings.Join(unknown.Languages, "|") == c.want:
		default:
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.c", "")
	write(t, dir, "sub/b.c", "")
	p, err := Open(filepath.Join(dir, "a.c"))
	if err != nil || p.Name != "a" || p.File != "a.c" || len(p.Files) != 1 || p.Dir != dir {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = Open(dir); err != nil || !slices.Equal(p.Files, []string{"a.c", "sub/b.c"}) || p.File != "" || !p.Has("sub/b.c") {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for i := range maxFiles {
		write(t, dir, "many/"+string(rune('a'+i%26))+strings.Repeat("x", i%200)+"/"+strings.Repeat("y", i/200+1), "")
	}
	if _, err := Open(dir); !errors.Is(err, ErrTooManyFiles) {
		t.Errorf("%v", err)
	}
}

// Links are followed to the folder, and to files of it; what leads to no file is
// no source.
func TestOpenFollowsLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	write(t, dir, "a.c", "")
	write(t, other, "shared.c", "")
	link := filepath.Join(other, "linked")
	for name, to := range map[string]string{
		link:                            dir,
		filepath.Join(dir, "b.c"):       filepath.Join(other, "shared.c"),
		filepath.Join(dir, "folder.c"):  other,
		filepath.Join(dir, "nowhere.c"): filepath.Join(dir, "none"),
		filepath.Join(dir, "device.c"):  os.DevNull,
	} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Open(link)
	if err != nil || p.Name != "linked" || p.Dir != dir || !slices.Equal(p.Files, []string{"a.c", "b.c"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if l, err := LanguageOf(p); err != nil || l.Name != "c" {
		t.Errorf("%v, %v", l, err)
	}
}

// A file's name must not become an option of a compiler.
func TestOptionsAsNames(t *testing.T) {
	for _, name := range []string{"-v.c", "@.h/x.c"} {
		dir := t.TempDir()
		write(t, dir, "main.c", "")
		write(t, dir, name, "")
		for _, path := range []string{dir, filepath.Join(dir, name)} {
			_, err := Open(path)
			if bad := path == dir || !strings.Contains(name, "/"); bad != (err != nil) || bad && !strings.Contains(err.Error(), "rename it") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestMissingTools(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "main.c", "")
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = (&Builder{Cache: t.TempDir(), LookupEnv: func(string) (string, bool) { return "", false }}).Build(t.Context(), p, Options{})
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "need clang and wasm-ld, which are not here") || missing.Install() != clangInstall {
		t.Errorf("%v", err)
	}
	named := &Builder{Cache: t.TempDir(), LookupEnv: func(name string) (string, bool) { return "/nowhere/cc", name == "CC" }}
	if _, err := named.Build(t.Context(), p, Options{}); !errors.As(err, &missing) {
		t.Errorf("CC that is not there: %v", err)
	}
}

func TestCompilersSayWhatIsWrong(t *testing.T) {
	b := &Builder{Cache: t.TempDir()}
	need(t, b, "c")
	dir := t.TempDir()
	write(t, dir, "main.c", "#include <pappus.h>\nint x = y;\n")
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Build(t.Context(), p, Options{})
	var refused *ToolError
	if !errors.As(err, &refused) || !strings.Contains(refused.Output, "main.c:2:9: error:") || !strings.HasPrefix(refused.Tool, "clang") {
		t.Errorf("%+v", err)
	}
	// The linker, too.
	write(t, dir, "main.c", "#include <pappus.h>\nint missing(void);\nstatic int run(void) { return missing(); }\nPAPPUS_FUNCTION(run)\n")
	if _, err = b.Build(t.Context(), p, Options{}); !errors.As(err, &refused) || !strings.Contains(refused.Output, "undefined symbol: missing") {
		t.Errorf("%+v: %s", err, refused.Output)
	}
	// CFLAGS count, and warnings are handed on.
	write(t, dir, "main.c", "#include <pappus.h>\nstatic int run(void) { int unused; return CODE; }\nPAPPUS_FUNCTION(run)\n")
	b.LookupEnv = func(name string) (string, bool) { return "-DCODE=7", name == "CFLAGS" }
	r, err := b.Build(t.Context(), p, Options{})
	if err != nil || !strings.Contains(r.Output, "unused") {
		t.Errorf("%+v, %v", r, err)
	}
}

// LDFLAGS size the stack in memory, at whose end its pointer begins.
func TestStackSize(t *testing.T) {
	for language, c := range map[string]struct {
		source string
		usual  uint64
	}{
		"c":      {"#include <pappus.h>\nstatic int run(void) { volatile char a[64]; a[0] = 1; return a[0] - 1; }\nPAPPUS_FUNCTION(run)\n", 32 << 10},
		"c-libc": {"#include <stdio.h>\nint main(void) { return puts(\"x\") < 0; }\n", 256 << 10},
	} {
		for flags, want := range map[string]uint64{"": c.usual, "-z stack-size=1048576": 1 << 20} {
			b := &Builder{Cache: t.TempDir(), LookupEnv: func(name string) (string, bool) { return flags, name == "LDFLAGS" }}
			need(t, b, language)
			dir := t.TempDir()
			write(t, dir, "main.c", c.source)
			p, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			r, err := b.Build(t.Context(), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := binary.Decode(r.Module, binary.DefaultCaps())
			if err != nil || len(m.Globals) == 0 || m.Globals[0].Value != want {
				t.Errorf("%s, %q: %+v, %v", language, flags, m.Globals, err)
			}
		}
	}
}

// So do interpreters, of scripts: before there is a function.
func TestScriptsAreChecked(t *testing.T) {
	if raceEnabled {
		t.Skip("tools don't race, and these take long")
	}
	b := &Builder{Cache: t.TempDir()}
	for name, c := range map[string]struct{ file, source, want string }{
		"javascript": {"main.js", "var a = 1;\nfunction run( {\n", "main.js:"},
		"lua":        {"main.lua", "x = 1\ny = = 2\n", "main.lua:2:5: syntax error near =\ny = = 2\n    ^\n"},
		"starlark":   {"main.star", "def run(inputs):\n    miss()\n", "main.star:2:5: undefined: miss\n    miss()\n    ^\n"},
	} {
		need(t, b, name)
		dir := t.TempDir()
		write(t, dir, c.file, c.source)
		for _, path := range []string{dir, filepath.Join(dir, c.file)} {
			p, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Build(t.Context(), p, Options{})
			var refused *ToolError
			if !errors.As(err, &refused) || !strings.HasPrefix(refused.Output, c.want) || refused.Tool != name {
				t.Errorf("%s: %v: %+v", path, err, refused)
			}
		}
	}
}

// fake is a build whose only tool is a shell.
func fake(t *testing.T) *Build {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs sh")
	}
	dir := t.TempDir()
	return &Build{Project: &Project{Dir: dir}, SDK: dir, tools: map[string]string{"sh": sh}}
}

func TestStepsThatMakeAreRunOnce(t *testing.T) {
	b := fake(t)
	made := filepath.Join(b.Dir, "made")
	step := Step{Tool: "sh", Args: []string{"-c", `echo x >>log; cat log >"$1"`, "sh", MakesHere}, Makes: made}
	for range 2 {
		if err := b.run(t.Context(), step, new(transcript)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(made); err != nil || string(text) != "x\n" {
		t.Errorf("%q, %v", text, err)
	}
	step = Step{Tool: "sh", Args: []string{"-c", `echo half >"$1"; exit 3`, "sh", MakesHere}, Makes: filepath.Join(b.Dir, "never")}
	if err := b.run(t.Context(), step, new(transcript)); err == nil {
		t.Error("a step that fails is a success")
	}
	left, err := filepath.Glob(filepath.Join(b.Dir, "*"))
	if hidden, _ := filepath.Glob(filepath.Join(b.Dir, ".making-*")); err != nil || len(left) != 3 || len(hidden) != 0 { // the log, what was made and its digest
		t.Errorf("left over: %v %v", left, hidden)
	}
}

// What was made is made again if it is not what it was.
func TestWhatWasMadeIsCompared(t *testing.T) {
	for name, change := range map[string]func(made string) error{
		"another content": func(made string) error { return os.WriteFile(made, []byte("z\n"), 0o600) },
		"less":            func(made string) error { return os.Truncate(made, 0) },
		"gone":            os.Remove,
		"a folder": func(made string) error {
			return errors.Join(os.Remove(made), os.MkdirAll(filepath.Join(made, "x"), 0o700))
		},
		"a pipe": func(made string) error { return errors.Join(os.Remove(made), syscall.Mkfifo(made, 0o600)) },
		"a link": func(made string) error {
			return errors.Join(os.Rename(made, made+"2"), os.Symlink(made+"2", made))
		},
		"no digest": func(made string) error { return os.Remove(made + digestSuffix) },
		"a pipe for a digest": func(made string) error {
			return errors.Join(os.Remove(made+digestSuffix), syscall.Mkfifo(made+digestSuffix, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := fake(t)
			made := filepath.Join(b.Dir, "made")
			step := Step{Tool: "sh", Args: []string{"-c", `echo x >>log; cat log >"$1"`, "sh", MakesHere}, Makes: made}
			if err := b.run(t.Context(), step, new(transcript)); err != nil {
				t.Fatal(err)
			}
			if err := change(made); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := b.run(t.Context(), step, new(transcript)); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := os.ReadFile(made); err != nil || string(text) != "x\nx\n" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

func TestSweepMaking(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, making+"old", "")
	write(t, dir, making+"new", "")
	old := time.Now().Add(-2 * longestStep)
	if err := os.Chtimes(filepath.Join(dir, making+"old"), old, old); err != nil {
		t.Fatal(err)
	}
	sweepMaking(dir)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != making+"new" {
		t.Errorf("%v, %v", left, err)
	}
}

// A build that is stopped takes the children of its tools with it: this one would
// hold the pipe of its output open for long.
func TestStopTakesChildren(t *testing.T) {
	b := fake(t)
	ready := filepath.Join(b.Dir, "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error)
	go func() {
		done <- b.run(ctx, Step{Tool: "sh", Args: []string{"-c", `(echo >ready; exec sleep 600) & wait`}}, new(transcript))
	}()
	if _, err := os.ReadFile(ready); err != nil { // waits for the child
		t.Fatal(err)
	}
	begun := time.Now()
	stop()
	if err := <-done; err == nil || errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("stopped: %v, after %v", err, time.Since(begun))
	}
}

func TestOutputIsBounded(t *testing.T) {
	b := fake(t)
	said := new(transcript)
	if err := b.run(t.Context(), Step{Tool: "sh", Args: []string{"-c", "yes | head -c 1000000"}}, said); err != nil {
		t.Fatal(err)
	}
	if text := said.String(); len(text) > maxOutput+100 || !strings.Contains(text, "… and 737856 bytes more") {
		t.Errorf("%d bytes, %q", len(text), text[len(text)-50:])
	}
}

// A pipe in the place of a file is refused instead of waited for.
func TestPipesAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"main.c", manifestFile} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(filepath.Join(dir, "main.c")); !errors.Is(err, ErrNoFile) {
		t.Errorf("source: %v", err)
	}
	b := &Build{Project: &Project{Dir: dir}}
	if _, err := finishPure(nil, b); !errors.Is(err, ErrNoFile) {
		t.Errorf("manifest: %v", err)
	}
	if _, err := nativeManifest(b); !errors.Is(err, ErrNoFile) {
		t.Errorf("manifest of a native file: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := finishPure(nil, b); !errors.Is(err, ErrNoFile) {
		t.Errorf("device: %v", err)
	}
}

// Of a manifest that is too long nothing is read.
func TestLongManifest(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, manifestFile, "{}")
	if err := os.Truncate(filepath.Join(dir, manifestFile), 1<<40); err != nil {
		t.Fatal(err)
	}
	b := &Build{Project: &Project{Dir: dir}}
	if _, err := finishPure(nil, b); !errors.Is(err, ErrManifestSize) {
		t.Errorf("%v", err)
	}
	if _, err := nativeManifest(b); !errors.Is(err, ErrManifestSize) {
		t.Errorf("of a native file: %v", err)
	}
}

// Only the export of the name is the entry.
func TestEntryOfGo(t *testing.T) {
	for text, want := range map[string]bool{
		"//go:wasmexport run\nfunc run() int32 { return 0 }\n":   true,
		"//go:wasmexport\trun \r\nfunc f() int32 { return 0 }\n": true,
		"import \"pappus/sdk/go/pappus\"\n":                      true,
		"//go:wasmexport runtimeStats\nfunc runtimeStats() {}\n": false,
		"//go:wasmexport rerun\nfunc run() {}\n":                 false,
		"// //go:wasmexport run\n":                               false,
		"//go:wasmexporter run\n":                                false,
		"func main() {}\n":                                       false,
	} {
		dir := t.TempDir()
		write(t, dir, "main.go", "package main\n\n"+text)
		p, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := exportsEntry(p); err != nil || got != want {
			t.Errorf("%q: %t, %v", text, got, err)
		}
	}
}

// The limit of memory in pappus.json is the size of the memory.
func TestManifestSizesMemory(t *testing.T) {
	program, err := os.ReadFile("../purify/testdata/upper.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for limits, want := range map[string]uint32{
		"": 1024, `,"limits":{"timeout":"1s"}`: 1024, `,"limits":{"memory":"96MiB"}`: 1536, `,"limits":{"memory":2097152}`: 32,
	} {
		dir := t.TempDir()
		write(t, dir, manifestFile, `{"inputs":["stdio"],"outputs":["stdio"]`+limits+`}`)
		module, err := finishPure(program, &Build{Project: &Project{Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := binary.Decode(module, binary.DefaultCaps())
		if err != nil || m.Memory.Min != want {
			t.Errorf("%s: %+v, %v", limits, m.Memory, err)
		}
	}
	for limits, want := range map[string]string{`"100KiB"`: "no room", `"1024GiB"`: "the most is", `"-1"`: manifestFile + ": ", `{}`: manifestFile + ": "} {
		dir := t.TempDir()
		write(t, dir, manifestFile, `{"limits":{"memory":`+limits+`}}`)
		if _, err := finishPure(program, &Build{Project: &Project{Dir: dir}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", limits, err)
		}
	}
}

// Every language has its own names.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, l := range Languages() {
		for _, name := range append([]string{l.Name}, l.Aliases...) {
			if other, twice := seen[name]; twice || Named(name) == nil || Named(name).Name != l.Name {
				t.Errorf("%s is %s and %s", name, other, l.Name)
			}
			seen[name] = l.Name
		}
	}
	for alias, want := range map[string]string{"js": "javascript", "cpp": "c++", "as": "assemblyscript", "golang": "go"} {
		if seen[alias] != want {
			t.Errorf("%s is %q, want %s", alias, seen[alias], want)
		}
	}
}

func TestOnlyLines(t *testing.T) {
	header := "\x00asm\x01\x00\x00\x00"
	custom := func(name string) string {
		return "\x00" + string(rune(len(name)+2)) + string(rune(len(name))) + name + "x"
	}
	for name, c := range map[string]struct{ in, want string }{
		"module":   {header + custom(".debug_info") + "\x01\x01\x00" + custom(".debug_line") + custom(".debug_line_str") + custom("name") + custom(".debug_str"), header + "\x01\x01\x00" + custom(".debug_line") + custom(".debug_line_str") + custom("name")},
		"empty":    {"", ""},
		"short":    {header[:5], header[:5]},
		"header":   {header, header},
		"cut":      {header + "\x00\x20.debug", header + "\x00\x20.debug"},
		"no size":  {header + "\x00", header + "\x00"},
		"no name":  {header + "\x00\x02\x05a", header + "\x00\x02\x05a"},
		"too long": {header + "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", header + "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		if got := onlyLines([]byte(c.in)); string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
