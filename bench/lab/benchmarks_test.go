package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// make test runs each benchmark of the project once, so that none can rot: those of
// the main module as make benchmarked lists their packages, those of others by a
// line of their own.
func TestBenchmarksAreRun(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-s", "benchmarked")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(out))
	var want []string
	for _, folder := range benchmarks(t) {
		module := folder
		for module != "." && !exists(filepath.Join(root, module, "go.mod")) {
			module = filepath.Dir(module)
		}
		if module == "." {
			want = append(want, "./"+filepath.ToSlash(folder))
			continue
		}
		line := "(cd " + filepath.ToSlash(module) + " && $(GO) test -json -timeout $(TEST_TIMEOUT) -run '^$$' -bench . -benchtime 1x "
		if !strings.Contains(string(makefile), line) {
			t.Errorf("the benchmarks of %s are in another module, which make test does not run by %q", folder, line)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if len(want) < 10 || !slices.Equal(listed, want) {
		t.Errorf("make benchmarked lists %q, and there are benchmarks in %q", listed, want)
	}
	if !strings.Contains(string(makefile), "-run '^$$' -bench . -benchtime 1x $(BENCHMARKED)") {
		t.Error("make test does not run what make benchmarked lists")
	}
}

// benchmarks are the folders that have one.
func benchmarks(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir():
			if file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(file, "_test.go"):
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Benchmark") && len(f.Type.Params.List) == 1 {
				folder, err := filepath.Rel(root, filepath.Dir(file))
				if err != nil {
					return err
				}
				found[folder] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for folder := range found {
		all = append(all, folder)
	}
	return all
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
