package toolchain

import (
	"bytes"
	"os"
	"path/filepath"

	gosdk "pappus/sdk/go"
)

// goLanguage is standard Go.
func goLanguage() *Language {
	return &Language{
		Name:     "go",
		About:    "standard Go 1.24 or newer, with its whole library, on sdk/go or by files",
		Aliases:  []string{"golang"},
		Owns:     func(p *Project) bool { return p.Has("go.mod") || len(p.With(".go")) > 0 },
		Tools:    []Tool{{Name: "go", Programs: []string{"go"}, Install: "Go 1.24 or newer, from go.dev/dl"}},
		Plan:     planGo,
		Finish:   finishPure,
		Template: []Part{{".", templateOf("go")}, {"sdk", gosdk.Files}},
	}
}

// planGo builds a library, which is initialised once for all calls, if the
// sources have an entry for them, and a command otherwise.
func planGo(b *Build) ([]Stage, error) {
	args := []string{"build", "-trimpath"}
	library, err := exportsEntry(b.Project)
	if err != nil {
		return nil, err
	}
	if library {
		args = append(args, "-buildmode=c-shared")
	}
	if b.Strip {
		args = append(args, "-ldflags=-s -w")
	}
	what := "."
	if b.File != "" {
		what = b.File
	}
	return []Stage{{{Tool: "go", Args: append(args, "-o", b.Out, what), Env: []string{"GOOS=wasip1", "GOARCH=wasm"}}}}, nil
}

// isExport reports whether a line exports a function to WebAssembly by that name.
func isExport(line []byte, name string) bool {
	directive, of := []byte("//go:wasmexport"), bytes.Fields(line)
	return bytes.HasPrefix(line, directive) && len(of) == 2 && bytes.Equal(of[0], directive) && string(of[1]) == name
}

// exportsEntry reports whether a Go file exports a function to WebAssembly, or
// uses the package that does.
func exportsEntry(p *Project) (bool, error) {
	for _, file := range p.With(".go") {
		text, err := os.ReadFile(filepath.Join(p.Dir, filepath.FromSlash(file)))
		if err != nil {
			return false, err
		}
		for line := range bytes.Lines(text) {
			if isExport(line, "run") || bytes.Contains(line, []byte(`"pappus/sdk/go/pappus"`)) {
				return true, nil
			}
		}
	}
	return false, nil
}
