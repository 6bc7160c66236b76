package sdk_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"pappus/data"
)

// buildScript builds a function of a script with the commands of script/README.md.
// An empty script makes one that takes its script as an item.
func buildScript(t testing.TB, language, file, script string) []byte {
	t.Helper()
	placeholder, err := filepath.Abs(filepath.Join("script", language, file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, overlay, manifest := filepath.Join(dir, "out.wasm"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "pappus.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{placeholder: script}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{overlay: replace, manifest: []byte(`{"name": "script", "inputs": ["text"], "outputs": ["upper", "stdio"]}`)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "script", []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-trimpath", "-overlay="+overlay, "-o", out, "./"+language)
	return pure(t, out, manifest)
}

// TestScripts builds the programs of the interpreters, each once, with the
// script that their own tests run natively.
func TestScripts(t *testing.T) {
	for _, l := range []struct{ name, file, failure string }{
		{"javascript", "main.js", "Error: told to fail\n\tat run (main.js:"},
		{"lua", "main.lua", "main.lua:8: told to fail\nstack traceback:"},
		{"starlark", "main.star", "Traceback (most recent call last):\n  main.star:8:17: in run"},
	} {
		t.Run(l.name, func(t *testing.T) {
			script, err := filepath.Abs(filepath.Join("script", "testdata", l.file))
			if err != nil {
				t.Fatal(err)
			}
			f := prepare(t, buildScript(t, l.name, l.file, script))
			in := []*data.Item{data.NewItem("a", 3, []byte("to be")), data.NewItem("b/c", 4_000_000_000, []byte("bytes")), data.NewItem("d", 4_000_000_000, []byte("same"))}
			out := []*data.Item{data.NewItem("a", 3, []byte("TO BE")), data.NewItem("b/c", 4_000_000_000, []byte("czuft")), data.NewItem("d", 4_000_000_000, []byte("same"))}
			f.gives(t, []data.Set{{Name: "upper", Items: out}, {Name: "stdio"}}, data.Set{Name: "text", Items: in})
			f.gives(t, []data.Set{
				{Name: "upper", Items: []*data.Item{data.NewItem("a", 0, nil)}},
				{Name: "stdio", Items: []*data.Item{data.NewItem("stdout", 0, []byte("said 1 [true]\n"))}},
			}, text("a", "say"))
			f.gives(t, []data.Set{{Name: "upper", Items: []*data.Item{data.NewItem("a", 0, []byte(`{"sets":1,"loads":1,"names":["a"]}`))}}, {Name: "stdio"}}, text("a", "json"))
			f.ends(t, exits(1, l.failure), text("a", "fail"))
		})
	}
}
