package toolchain

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	gosdk "pappus/sdk/go"
	"pappus/sdk/script"
)

// javaScriptLanguage is JavaScript in an interpreter.
func javaScriptLanguage() *Language {
	return scriptLanguage("javascript", []string{"js"}, ".js", "JavaScript (ES6 and more, one file) in an interpreter: 20 MB, and seconds to register")
}

// luaLanguage is Lua in an interpreter.
func luaLanguage() *Language {
	return scriptLanguage("lua", nil, ".lua", "Lua 5.1 in an interpreter")
}

// starlarkLanguage is Starlark in an interpreter.
func starlarkLanguage() *Language {
	return scriptLanguage("starlark", []string{"star"}, ".star", "Starlark, Python's dialect, in an interpreter")
}

// scriptLanguage is a language whose functions are an interpreter in Go with one
// file, main with that suffix, in it.
func scriptLanguage(name string, aliases []string, suffix, about string) *Language {
	return &Language{
		Name:     name,
		About:    about,
		Aliases:  aliases,
		Owns:     func(p *Project) bool { return p.Has("main"+suffix) || p.File != "" && len(p.With(suffix)) > 0 },
		Tools:    []Tool{{Name: "go", Programs: []string{"go"}, Install: "Go 1.25 or newer, from go.dev/dl"}},
		SDK:      together(Part{"go", gosdk.Files}, Part{"script", script.Files}),
		Plan:     func(b *Build) ([]Stage, error) { return planScript(b, name, "main"+suffix) },
		Finish:   finishPure,
		Template: []Part{{".", templateOf(name)}},
	}
}

// planScript checks the project's file, and builds the interpreter with it in the
// place of the empty one that it has.
func planScript(b *Build, name, file string) ([]Stage, error) {
	source := file
	if b.File != "" {
		source = b.File
	}
	module := filepath.Join(b.SDK, "script")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(module, name, file): filepath.Join(b.Dir, source)}})
	if err != nil {
		return nil, err
	}
	overlay := b.Temp("overlay.json")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return nil, err
	}
	// The same program for this machine, which tells mistakes in a script: in the
	// function each call would. It is built once, and takes milliseconds.
	here := []string{"build", "-C", module, "-trimpath", "-ldflags=-s -w", "-o"}
	checker := b.Cached("go", append(here, name), "")
	return []Stage{{{
		Tool:  "go",
		Args:  append(here, MakesHere, "./"+name),
		Env:   []string{"GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH, "GOWORK=off", "CGO_ENABLED=0"},
		Makes: checker,
	}}, {{
		Tool:    name,
		Program: checker,
		Args:    []string{"-check", source},
	}}, {{
		Tool: "go",
		Args: []string{"build", "-C", module, "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-overlay=" + overlay, "-o", b.Out, "./" + name},
		Env:  []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off"},
	}}}, nil
}

// together is a file system with others in its folders.
func together(parts ...Part) fs.FS {
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for _, part := range parts {
		// Neither embedded files nor memory fail.
		_ = fs.WalkDir(part.Files, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := fs.ReadFile(part.Files, name)
			if err != nil {
				return err
			}
			to, err := w.Create(path.Join(part.Dir, name))
			if err == nil {
				_, err = to.Write(content)
			}
			return err
		})
	}
	_ = w.Close()
	r, err := zip.NewReader(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		return emptyFS{} // it was just written
	}
	return r
}
