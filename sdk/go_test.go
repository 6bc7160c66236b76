package sdk_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
)

// TestGo runs a function in Go that does what its inputs tell it to: it is built
// once, which takes seconds.
func TestGo(t *testing.T) {
	f := prepare(t, buildGo(t, filepath.Join("go", "testdata", "function")))

	t.Run("items", func(t *testing.T) {
		large := bytes.Repeat([]byte("x"), 1<<20)
		in := []*data.Item{data.NewItem("ä/b", 3, []byte("to be")), data.NewItem("", 4_000_000_000, nil), data.NewItem("c", 4_000_000_000, large)}
		out := []*data.Item{data.NewItem("ä/b", 3, []byte("TO BE")), data.NewItem("", 4_000_000_000, nil), data.NewItem("c", 4_000_000_000, bytes.ToUpper(large))}
		f.gives(t, []data.Set{{Name: "upper", Items: out}, {Name: "stdio"}}, data.Set{Name: "text", Items: in})
	})
	t.Run("nothing", func(t *testing.T) {
		f.gives(t, []data.Set{{Name: "upper"}, {Name: "stdio"}})
	})
	t.Run("file", func(t *testing.T) {
		f.gives(t, []data.Set{
			{Name: "upper", Items: []*data.Item{data.NewItem("a", 0, []byte("FILE")), data.NewItem("written", 0, []byte("fileb"))}},
			{Name: "stdio", Items: []*data.Item{data.NewItem("stdout", 0, []byte("read\n"))}},
		}, text("a", "file"))
	})
	for content, want := range map[string]engine.Fault{
		"fail":        exits(1, "told to fail\n"),
		"fail with 7": exits(7, "told to fail\n"),
		"exit":        exits(9, ""),
		"other set":   exits(1, "the function has no output set more: its manifest says which it has\n"),
		"panic":       {Kind: engine.FaultTrap, ExitCode: 0, Stderr: []byte("panic: as told\n")},
	} {
		t.Run(content, func(t *testing.T) { f.ends(t, want, text("a", content)) })
	}
	t.Run("names of a panic's callers", func(t *testing.T) {
		_, err := f.run(text("a", "panic"))
		var fault *engine.Fault
		if !errors.As(err, &fault) || !strings.Contains(strings.Join(fault.Stack, "\n"), "main.run(") {
			t.Errorf("%v, %+v", err, fault)
		}
	})
}

// TestGoOutsideOfFunctions runs the same function on the folder of its case.
func TestGoOutsideOfFunctions(t *testing.T) {
	tool(t, filepath.Join("go", "testdata", "function"), nil, "go", "run", ".", "cases/hello")
}
