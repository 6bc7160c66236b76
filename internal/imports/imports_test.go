package imports_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "pappus"
	root   = "../.."
)

// An imported path, and where it stands.
type imported struct {
	path string
	file string
	test bool
}

// A pkg is one folder with Go files in it.
type pkg struct {
	name    string // as in its package clause, without _test
	doc     string // the package comment in doc.go
	imports []imported
}

// load parses every Go file of the module, for whichever system it is: the go
// command would show only those of this one. Other modules and testdata are
// not part of it.
func load(t *testing.T) map[string]*pkg {
	t.Helper()
	pkgs := make(map[string]*pkg)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(file, entry.Name())
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		if pkgs[dir] == nil {
			pkgs[dir] = new(pkg)
		}
		return pkgs[dir].add(filepath.ToSlash(rel), syntax)
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// skip tells WalkDir to leave out folders that the go command leaves out.
func skip(dir, name string) error {
	if dir == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func (p *pkg) add(file string, syntax *ast.File) error {
	p.name = strings.TrimSuffix(syntax.Name.Name, "_test")
	if path.Base(file) == "doc.go" {
		p.doc = syntax.Doc.Text()
	}
	for _, spec := range syntax.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, imported{importPath, file, strings.HasSuffix(file, "_test.go")})
	}
	return nil
}

// in tells whether dir is one of patterns: a package, or "room/..." with all
// that is in it.
func in(dir string, patterns []string) bool {
	for _, pattern := range patterns {
		room, all := strings.CutSuffix(pattern, "/...")
		if dir == room || all && strings.HasPrefix(dir, room+"/") {
			return true
		}
	}
	return false
}

// objection tells what is wrong about a package of this project importing
// another one, or the empty string.
func objection(dir string, i imported) string {
	r := rules[dir]
	other := strings.TrimPrefix(i.path, module+"/")
	switch {
	case other == dir, slices.Contains(r.may, anything), slices.Contains(r.may, other):
		return ""
	case i.test && slices.Contains(r.tests, other):
		return ""
	case i.test:
		return "the tests of " + dir + " may import " + list(slices.Concat(r.may, r.tests)) + ", not " + other
	}
	return dir + " may import " + list(r.may) + ", not " + other
}

// objectionToDependency does the same for what is not of this project.
func objectionToDependency(dir string, i imported) string {
	var d dependency
	var name string
	for prefix, candidate := range dependencies {
		if (i.path == prefix || strings.HasPrefix(i.path, prefix+"/")) && len(prefix) > len(name) {
			name, d = prefix, candidate
		}
	}
	first, _, _ := strings.Cut(i.path, "/")
	switch {
	case name == "" && !strings.Contains(first, "."):
		return "" // of the standard library
	case name == "":
		return i.path + " is not in the table of dependencies in internal/imports: use the standard library, or add it there with the reason and the packages that need it"
	case in(dir, d.only), i.test && d.tests:
		return ""
	}
	return dir + " may not import " + i.path + " (" + d.why + ")"
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing of this project"
	}
	return "only " + strings.Join(names, ", ")
}

func TestImports(t *testing.T) {
	pkgs := load(t)
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[dir]
		if _, known := rules[dir]; !known {
			t.Errorf("package %s has no rule: decide what it owns and what it may know, write that into its doc.go and add it to the table in internal/imports/rules_test.go", dir)
			continue
		}
		for _, i := range p.imports {
			complaint := objectionToDependency(dir, i)
			if strings.HasPrefix(i.path, module+"/") {
				complaint = objection(dir, i)
			}
			if complaint != "" {
				t.Errorf("%s imports %s: %s", i.file, i.path, complaint)
			}
		}
	}
}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	pkgs := load(t)
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[dir]
		if slices.Contains(meaningless, p.name) {
			t.Errorf("package %s: the name %s says nothing about what it owns; name it after its idea", dir, p.name)
		}
		want := "Package " + p.name + " "
		if p.name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(strings.ReplaceAll(p.doc, "\n", " "), want) {
			t.Errorf("package %s needs a doc.go whose comment starts with %q and says what the package owns and may know", dir, want)
		}
	}
}

// The rules must object to what they are there to stop.
func TestRulesObject(t *testing.T) {
	tests := []struct {
		dir    string
		i      imported
		object bool
	}{
		{dir: "data", i: imported{path: "pappus/engine"}, object: true},
		{dir: "engine", i: imported{path: "pappus/data"}},
		{dir: "server", i: imported{path: "pappus/wasmengine"}, object: true},
		{dir: "dispatcher", i: imported{path: "pappus/chericapengine"}, object: true},
		{dir: "chericapengine", i: imported{path: "pappus/wasmengine"}, object: true},
		{dir: "server", i: imported{path: "pappus/wasmengine", test: true}, object: true},
		{dir: "dispatcher", i: imported{path: "pappus/server"}, object: true},
		{dir: "wasmengine", i: imported{path: "pappus/engine/enginetest"}, object: true},
		{dir: "wasmengine", i: imported{path: "pappus/engine/enginetest", test: true}},
		{dir: "cmd/pappus", i: imported{path: "pappus/wasmengine"}},
		{dir: "client", i: imported{path: "pappus/data"}, object: true},
		{dir: "dispatcher", i: imported{path: "net/http"}, object: true},
		{dir: "dispatcher", i: imported{path: "net/netip"}},
		{dir: "dispatcher", i: imported{path: "github.com/labstack/echo/v4"}, object: true},
		{dir: "server", i: imported{path: "github.com/labstack/echo/v4/middleware"}},
		{dir: "registry", i: imported{path: "go.etcd.io/bbolt"}},
		{dir: "registry", i: imported{path: "pgregory.net/rapid"}, object: true},
		{dir: "registry", i: imported{path: "pgregory.net/rapid", test: true}},
		{dir: "registry", i: imported{path: "example.com/new"}, object: true},
	}
	for _, test := range tests {
		complaint := objectionToDependency(test.dir, test.i)
		if strings.HasPrefix(test.i.path, module+"/") {
			complaint = objection(test.dir, test.i)
		}
		if (complaint != "") != test.object {
			t.Errorf("%s imports %+v: complaint %q, want one: %t", test.dir, test.i, complaint, test.object)
		}
	}
}
