package sdk_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"pappus/data"
	"pappus/engine"
)

var update = flag.Bool("update", false, "build assemblyscript/testdata/function.wasm instead of checking it")

const assemblyScript = "assemblyscript/testdata/function.wasm"

func TestAssemblyScript(t *testing.T) {
	f := prepare(t, pure(t, assemblyScript, "assemblyscript/testdata/pappus.json"))

	t.Run("items", func(t *testing.T) {
		large := bytes.Repeat([]byte("x"), 1_000_000)
		in := []*data.Item{data.NewItem("ä/b", 3, []byte("to be, ä, 😀")), data.NewItem("", 4_000_000_000, nil), data.NewItem("c", 4_000_000_000, large)}
		out := []*data.Item{data.NewItem("ä/b", 3, []byte("TO BE, Ä, 😀")), data.NewItem("", 4_000_000_000, nil), data.NewItem("c", 4_000_000_000, bytes.ReplaceAll(large, []byte("x"), []byte("y")))}
		f.gives(t, []data.Set{{Name: "upper", Items: out}, {Name: "stdio"}}, data.Set{Name: "text", Items: in})
	})
	t.Run("what the language asks for", func(t *testing.T) {
		f.gives(t, []data.Set{
			{Name: "upper", Items: []*data.Item{data.NewItem("a", 0, []byte("said"))}},
			{Name: "stdio", Items: []*data.Item{
				data.NewItem("stderr", 0, []byte("trace: traced 1.0, 2.5\nAssertion failed: there is none\n")),
				data.NewItem("stdout", 0, []byte("text upper,stdio n999\ntrue\n")),
			}},
		}, text("a", "say"))
	})
	t.Run("garbage is collected", func(t *testing.T) {
		f.gives(t, []data.Set{{Name: "upper", Items: []*data.Item{data.NewItem("a", 0, []byte("GARBAGE"))}}, {Name: "stdio"}}, text("a", "garbage"))
	})
	trap := func(stderr string) engine.Fault {
		return engine.Fault{Kind: engine.FaultTrap, Stderr: []byte(stderr)}
	}
	for content, want := range map[string]engine.Fault{
		"fail":      exits(7, "told to fail\n"),
		"abort":     trap("told to throw in testdata/function.ts(28:26)\n"),
		"range":     trap("Index out of range in ~lib/array.ts("),
		"no set":    trap("there is no input set none in assembly/index.ts("),
		"no output": trap("there is no output set none in assembly/index.ts("),
		"memory":    trap(""),
	} {
		t.Run(content, func(t *testing.T) { f.ends(t, want, text("a", content)) })
	}
}

// TestRebuildAssemblyScript holds the checked-in module to its sources.
func TestRebuildAssemblyScript(t *testing.T) {
	compiler, err := filepath.Abs("../.cache/assemblyscript/node_modules/.bin/asc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(compiler); err != nil {
		t.Skip("needs the compiler: make assemblyscript")
	}
	built := filepath.Join(t.TempDir(), "function.wasm")
	tool(t, "assemblyscript", nil, compiler, "testdata/function.ts", "--config", "asconfig.json", "-o", built)
	code, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(assemblyScript, code, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(assemblyScript)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(code, kept) {
		t.Error("assemblyscript/testdata/function.wasm is not what its sources give; run go test ./sdk -run AssemblyScript -update")
	}
}
