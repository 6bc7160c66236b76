package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = ".."

// names of the source: "package.Name", "package.Type.Method" and
// "package.Type.field", package being the folder.
type names map[string]bool

// declared parses all Go files outside of testdata.
func declared(t *testing.T) names {
	t.Helper()
	all := make(names)
	eachFile(t, ".go", func(file, text string) {
		syntax, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		all.add(filepath.ToSlash(rel), syntax)
	})
	return all
}

func (n names) add(dir string, syntax *ast.File) {
	for _, decl := range syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				n[dir+"."+d.Name.Name] = true
				continue
			}
			receiver := d.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if generic, ok := receiver.(*ast.IndexExpr); ok {
				receiver = generic.X
			}
			if of, ok := receiver.(*ast.Ident); ok {
				n[dir+"."+of.Name+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					n[dir+"."+s.Name.Name] = true
					n.addMembers(dir+"."+s.Name.Name, s.Type)
				}
			}
		}
	}
}

func (n names) addMembers(of string, typ ast.Expr) {
	var members *ast.FieldList
	switch t := typ.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return
	}
	for _, member := range members.List {
		for _, name := range member.Names {
			n[of+"."+name.Name] = true
		}
	}
}

// has tells whether a name of a document is one of the source: in full, or
// without its package, or with the last element of its package only.
func (n names) has(name string) bool {
	if n[name] {
		return true
	}
	for full := range n {
		if strings.HasSuffix(full, "/"+name) || strings.HasSuffix(full, "."+name) {
			return true
		}
	}
	return false
}

// eachFile calls do with every file of the project that has the extension, by its
// path from here, and what is in it. Data of tests and hidden folders are left out.
func eachFile(t *testing.T, ext string, do func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules" || entry.Name() == "cases" && file != filepath.Join(root, "cases")):
			return filepath.SkipDir
		case entry.IsDir() || path.Ext(file) != ext:
			return nil
		}
		text, err := os.ReadFile(file)
		if err == nil {
			do(file, string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var quoted = regexp.MustCompile("`([^`\n]+)`")

// Every test that the page of threats relies on is there.
func TestThreatsAreHeldByTests(t *testing.T) {
	const minimum = 50
	all := declared(t)
	parts := read(t, "engine/enginetest/enginetest.go")
	named := 0
	for _, match := range quoted.FindAllStringSubmatch(read(t, "docs/threats.md"), -1) {
		name := match[1]
		if rest, ok := strings.CutPrefix(name, "W"); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/")) {
			name = "wasmengine" + rest
		}
		if rest, ok := strings.CutPrefix(name, "C"); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "/")) {
			name = "chericapengine" + rest
		}
		name, part, _ := strings.Cut(name, "TestConformance/")
		if part != "" {
			name += "TestConformance"
			if !strings.Contains(parts, `{"`+part+`", `) {
				t.Errorf("the conformance suite has no part %s", part)
			}
		}
		short := name[strings.LastIndex(name, ".")+1:]
		if !strings.HasPrefix(short, "Test") && !strings.HasPrefix(short, "Fuzz") {
			continue
		}
		named++
		if !all[name] {
			t.Errorf("there is no test %s", match[1])
		}
	}
	if named < minimum {
		t.Errorf("the page names %d tests, fewer than %d: has its form changed?", named, minimum)
	}
}

// The walks through the code go by names that exist.
func TestArchitectureNamesWhatExists(t *testing.T) {
	const minimum = 25
	all := declared(t)
	named := 0
	for _, match := range quoted.FindAllStringSubmatch(read(t, "ARCHITECTURE.md"), -1) {
		name := match[1]
		switch {
		case strings.ContainsAny(name, " _"): // a request, or a name in a module
		case strings.Contains(name, "/"):
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Error(err)
			}
		default:
			named++
			if stat, err := os.Stat(filepath.Join(root, name)); err == nil && stat.IsDir() {
				continue
			}
			if !all.has(name) {
				t.Errorf("nothing is called %s", name)
			}
		}
	}
	if named < minimum {
		t.Errorf("the document names %d things, fewer than %d: has its form changed?", named, minimum)
	}
}

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

// Links between the documents lead somewhere.
func TestLinks(t *testing.T) {
	eachFile(t, ".md", func(file, text string) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), match[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	})
}

var metric = regexp.MustCompile(`\bpappus_[a-z_]+\b`)

// The page of metrics has every metric that the source defines, and its table,
// queries and alerts name no other.
func TestMetricsPage(t *testing.T) {
	const least = 20
	defined := map[string]bool{}
	eachFile(t, ".go", func(file, text string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, name := range regexp.MustCompile(`"(pappus_[a-z_]+)"`).FindAllStringSubmatch(text, -1) {
			defined[name[1]] = true
		}
	})
	if len(defined) < least {
		t.Errorf("the source has only %d metrics", len(defined))
	}
	page := read(t, "docs/metrics.md")
	for name := range defined {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is not on the page", name)
		}
	}
	for _, name := range metric.FindAllString(page, -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !defined[name] && !defined[base] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// Links to places in a document lead to a heading of it.
func TestAnchors(t *testing.T) {
	anchored := regexp.MustCompile(`\]\(([^)#]*)#([^)]+)\)`)
	heading := regexp.MustCompile("(?m)^#+ (.*)$")
	dropped := regexp.MustCompile(`[^\pL\pN _-]`)
	eachFile(t, ".md", func(file, text string) {
		for _, match := range anchored.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			to := text
			if match[1] != "" {
				other, err := os.ReadFile(filepath.Join(filepath.Dir(file), match[1]))
				if err != nil {
					t.Fatal(err)
				}
				to = string(other)
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(to, -1) {
				anchor := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
				found = found || anchor == match[2]
			}
			if !found {
				t.Errorf("%s: nothing is at %s#%s", file, match[1], match[2])
			}
		}
	})
}

// What the guide says of pages is what the server allows.
func TestPagesOfOtherOrigins(t *testing.T) {
	guide, source := read(t, "docs/invoking.md"), read(t, "server/guard.go")
	for _, name := range []string{"corsHeaders", "corsExposed"} {
		list := regexp.MustCompile(name + ` *= "([^"]+)"`).FindStringSubmatch(source)
		if list == nil {
			t.Fatalf("the source has no %s", name)
		}
		for header := range strings.SplitSeq(list[1], ", ") {
			if !strings.Contains(guide, "`"+header+"`") {
				t.Errorf("the guide does not name %s", header)
			}
		}
	}
	if page := read(t, "docs/configuration.md"); !regexp.MustCompile("`max-body` .*64MiB").MatchString(page) || !strings.Contains(guide, "at most 64 MiB unless") {
		t.Error("the guide's largest body is not the default")
	}
}
