package composition_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pappus/dispatcher/composition"
)

// seeds gives a fuzz target the sources of the golden files.
func seeds(f *testing.F) {
	f.Helper()
	for _, source := range goldenSources(f) {
		f.Add(source)
	}
}

// sound holds diagnostics to what everybody relies on.
func sound(t *testing.T, source string, list []composition.Diagnostic, warning bool) {
	t.Helper()
	if len(list) > composition.MaxErrors {
		t.Errorf("%d diagnostics", len(list))
	}
	lines := strings.Count(source, "\n") + 1
	before := composition.Position{}
	for _, d := range list {
		if d.Warning != warning || d.Message == "" || d.Line < 1 || d.Line > lines || d.Column < 1 || d.Caret < 0 || d.Caret > utf8.RuneCountInString(d.Source) {
			t.Errorf("%+v", d)
		}
		for _, text := range []string{d.Message, d.Hint, d.Source} {
			if strings.ContainsAny(text, "\n\x00\x1b") || !utf8.ValidString(text) || len(text) > 2000 {
				t.Errorf("%q", text)
			}
		}
		if d.Line < before.Line || d.Line == before.Line && d.Column < before.Column {
			t.Errorf("%v after %v", d.Position, before)
		}
		before = d.Position
	}
}

// No source breaks the parser or the checks, offline or not; and a graph that comes
// of one is sound, survives JSON, and has pictures.
func FuzzCompile(f *testing.F) {
	seeds(f)
	known := registered{}
	for _, line := range []string{
		"matmul (matrices) => (product)", "matmac (a, b, c) => (d)", "sumSet (counts) => (total)", "one (x:item) => (y:item)", "raw () => () open",
		"makeGetRequests (servers) => (requests)", "system_HTTPGet (requests) => (bodies)", "sumOccurance (logs, pattern:item) => (counts)", "Middle (x) => (y) applies Top",
	} {
		known.add(line)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, opts := range []composition.Options{{Resolver: known, Name: "Top", Reserved: reserved}, {}} {
			g, warnings, err := composition.Compile(t.Context(), source, opts)
			sound(t, source, warnings, true)
			if err != nil {
				var invalid *composition.InvalidError
				if strings.Contains(source, "@broken") {
					continue // the resolver's own error
				}
				if !errors.As(err, &invalid) {
					t.Fatal(err)
				}
				sound(t, source, invalid.Diagnostics, false)
				continue
			}
			checkJSON(t, g)
			for _, format := range composition.Pictures() {
				if _, err := g.Draw(format); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// What is formatted is formatted already, has the same comments, and means the same.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, source string) {
		once, err := composition.Format(source)
		if err != nil {
			return
		}
		twice, err := composition.Format(once)
		if err != nil || once != twice {
			t.Fatalf("%v\n%s\nbecomes\n%s\nand then\n%s", err, source, once, twice)
		}
		if before, after := strings.Count(source, "#"), strings.Count(once, "#"); before != after {
			t.Fatalf("%d of %d # are left:\n%s\nbecomes\n%s", after, before, source, once)
		}
		before, _, errBefore := composition.Compile(t.Context(), source, composition.Options{})
		after, _, errAfter := composition.Compile(t.Context(), once, composition.Options{})
		if (errBefore == nil) != (errAfter == nil) {
			t.Fatalf("%v, and formatted %v", errBefore, errAfter)
		}
		if errBefore == nil && !reflect.DeepEqual(placeless(before), placeless(after)) {
			t.Fatalf("%s\nmeans something else as\n%s", source, once)
		}
	})
}

// Bytes that are read as a graph are one that can be run and written again.
func FuzzDecode(f *testing.F) {
	for _, source := range goldenSources(f) {
		if g, _, err := composition.Compile(f.Context(), source, composition.Options{}); err == nil {
			b, err := json.Marshal(g)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := composition.Decode(b)
		if err != nil {
			return
		}
		b, err = json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		back, err := composition.Decode(b)
		if err != nil || described(back) != described(g) {
			t.Fatalf("%v: %s", err, b)
		}
		for i := range g.Compositions {
			for n := range g.Compositions[i].Nodes {
				if err := g.Callee(&g.Compositions[i].Nodes[n]).Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, format := range composition.Pictures() {
			if _, err := g.Draw(format); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// goldenSources are the sources of the golden files.
func goldenSources(f *testing.F) []string {
	f.Helper()
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(files) == 0 {
		f.Fatal(err, files)
	}
	var list []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in, source := false, ""
		for line := range strings.Lines(string(text)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case !in && (word == "compile" || word == "format" || word == "show"):
				in, source = true, ""
			case in && word == "----":
				in, list = false, append(list, source)
			case in:
				source += line
			}
		}
	}
	return list
}
