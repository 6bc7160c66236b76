//go:build !wasip1

package pappus

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upper is a function that makes capitals, and fails on some texts.
func upper(in Inputs) (Outputs, error) {
	out := Outputs{}
	for _, item := range in["text"] {
		switch string(item.Data) {
		case "fail":
			return nil, errors.New("told to fail")
		case "fail with 7":
			return nil, fmt.Errorf("so: %w", &Exit{Code: 7, Err: errors.New("told to fail")})
		}
		item.Data = bytes.ToUpper(item.Data)
		out["upper"] = append(out["upper"], item)
	}
	return out, nil
}

// folderOf writes files into a new folder.
func folderOf(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCases(t *testing.T) {
	const keyed = `{"keys": {"in": {"text/a": 9}, "out": {"upper/a": 9}}, "limits": {"memory": "16MiB"}}`
	for name, c := range map[string]struct {
		files map[string]string
		want  string // error; "" of a case that passes
	}{
		"plain":       {map[string]string{"in/text/a": "be", "out/upper/a": "BE"}, ""},
		"folders":     {map[string]string{"in/text/a/b": "be", "in/text/c": "", "out/upper/a/b": "BE", "out/upper/c": ""}, ""},
		"keys":        {map[string]string{"in/text/a": "be", "in/text/b": "or", "out/upper/a": "BE", "out/upper/b": "OR", "case.json": keyed}, ""},
		"nothing":     {map[string]string{"case.json": "{}"}, ""},
		"other bytes": {map[string]string{"in/text/a": "be", "out/upper/a": "Be"}, `output upper/a: differs at byte 1: "E" instead of "e"`},
		"shorter":     {map[string]string{"in/text/a": "be", "out/upper/a": "BE!"}, `output upper/a: differs at byte 2: "" instead of "!"`},
		"other key":   {map[string]string{"in/text/a": "be", "out/upper/a": "BE", "case.json": `{"keys": {"in": {"text/a": 1}}}`}, `output upper: item "a" with key 1 instead of "a" with key 0`},
		"too many":    {map[string]string{"in/text/a": "be"}, "output upper: 1 items instead of 0"},
		"missing":     {map[string]string{"out/more/a": "be"}, "output more: 0 items instead of 1"},
		"fails":       {map[string]string{"in/text/a": "fail", "case.json": `{"exit_code": 1}`}, ""},
		"fails with":  {map[string]string{"in/text/a": "fail with 7", "case.json": `{"exit_code": 7}`}, ""},
		"other code":  {map[string]string{"in/text/a": "fail with 7", "case.json": `{"exit_code": 8}`}, "it failed with exit code 7 and not with 8: so: told to fail"},
		"unforeseen":  {map[string]string{"in/text/a": "fail"}, "it failed with exit code 1: told to fail"},
		"in vain":     {map[string]string{"in/text/a": "be", "case.json": `{"exit_code": 1}`}, "it did not fail, and should with exit"},
	} {
		t.Run(name, func(t *testing.T) {
			c1, err := ReadCase(folderOf(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			if err := c1.Run(upper); c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestReadCaseRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no JSON":        {"case.json": "{"},
		"unknown member": {"case.json": `{"exitcode": 1}`},
		"a file as set":  {"in": "x"},
	} {
		if c, err := ReadCase(folderOf(t, files)); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	if _, err := ReadCase(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("there is no folder, and no error")
	}
}

// Input sets that a manifest names are there without items, as in the engine.
func TestSetsWithoutItems(t *testing.T) {
	project := folderOf(t, map[string]string{
		"pappus.json":          `{"name": "x", "inputs": ["text", {"name": "pattern", "type": "item"}, "more"], "outputs": ["sets"]}`,
		"cases/a/in/text/a":    "be",
		"cases/a/out/sets/all": "more 0, pattern 0, text 1",
	})
	sets := func(in Inputs) (Outputs, error) {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(in)) {
			all = append(all, fmt.Sprintf("%s %d", name, len(in[name])))
		}
		out := Outputs{}
		out.Add("sets", "all", []byte(strings.Join(all, ", ")))
		return out, nil
	}
	t.Chdir(project)
	Test(t, "cases", sets)
	if code, says := runCase(sets, []string{"x", "cases/a"}); code != 0 {
		t.Errorf("%d %s", code, says)
	}
	// Without a manifest there is what the folder has.
	t.Chdir(t.TempDir())
	var f failures
	Test(&f, filepath.Join(project, "cases"), sets)
	if len(f) != 1 || !strings.Contains(f[0], `"text 1" instead of "more 0, pattern 0, text 1"`) {
		t.Errorf("%q", f)
	}
	for text, want := range map[string]string{
		`{`:                        "unexpected end",
		`{"inputs": [3]}`:          "cannot unmarshal",
		`{"inputs": [{"a": "x"}]}`: "has no name",
	} {
		if err := os.WriteFile("pappus.json", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, says := runCase(sets, []string{"x", filepath.Join(project, "cases/a")}); code != 2 || !strings.Contains(says, "pappus.json: ") || !strings.Contains(says, want) {
			t.Errorf("%s: %d %s", text, code, says)
		}
	}
}

// failures is a T that notes what fails.
type failures []string

func (f *failures) Helper() {}

func (f *failures) Fatal(args ...any) {
	*f = append(*f, fmt.Sprint(args...))
	panic(f)
}

func (f *failures) Errorf(format string, args ...any) {
	*f = append(*f, fmt.Sprintf(format, args...))
}

var (
	_ T = (*failures)(nil)
	_ T = (*testing.T)(nil)
)

func TestTest(t *testing.T) {
	Test(t, folderOf(t, map[string]string{
		"a/in/text/a": "be", "a/out/upper/a": "BE",
		"b/case.json": `{"fault": "deadline"}`,
	}), upper)
	var f failures
	Test(&f, folderOf(t, map[string]string{"a/in/text/a": "be"}), upper)
	if want := "case a: output upper: 1 items instead of 0"; len(f) != 1 || f[0] != want {
		t.Errorf("%q", f)
	}
	defer func() {
		if recover() == nil || !strings.HasPrefix(f[1], "there are no cases in ") {
			t.Errorf("%q", f)
		}
	}()
	Test(&f, t.TempDir(), upper)
}

func TestProgram(t *testing.T) {
	good := folderOf(t, map[string]string{"in/text/a/b": "be", "out/upper/a/b": "BE"})
	bad := folderOf(t, map[string]string{"in/text/a": "fail with 7"})
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{nil, 2, "usage: function CASE [OUT]"},
		{[]string{"a", "b", "c"}, 2, "usage: function"},
		{[]string{good}, 0, ""},
		{[]string{good, out}, 0, ""},
		{[]string{good, filepath.Join(good, "in/text/a/b")}, 2, ""},
		{[]string{bad}, 1, bad + ": it failed with exit code 7"},
		{[]string{bad, out}, 7, "so: told to fail"},
		{[]string{filepath.Join(good, "none")}, 2, "read the case: "},
	} {
		if code, said := runCase(upper, append([]string{"/bin/function"}, c.args...)); code != c.want || !strings.HasPrefix(said, c.says) || (code == 0) != (said == "") {
			t.Errorf("%q: exit code %d, %s", c.args, code, said)
		}
	}
	if b, err := os.ReadFile(filepath.Join(out, "upper/a/b")); err != nil || string(b) != "BE" {
		t.Errorf("wrote %q, %v", b, err)
	}
}

func TestOutsideNamesAreNotWritten(t *testing.T) {
	for _, name := range []string{"", "../a", "/a", "a/../../b"} {
		if err := writeSets(t.TempDir(), Outputs{"out": {{Name: name}}}); err == nil {
			t.Errorf("wrote %q", name)
		}
	}
}

func TestInputs(t *testing.T) {
	in := Inputs{"one": {{Name: "a", Data: []byte("x")}}, "two": {{Name: "a"}, {Name: "b", Key: 1}}}
	if item, err := in.One("one"); err != nil || string(item.Data) != "x" {
		t.Errorf("%v %v", item, err)
	}
	for _, set := range []string{"two", "none"} {
		if item, err := in.One(set); err == nil {
			t.Errorf("%s: %v", set, item)
		}
	}
	if item, ok := in.Find("two", "b"); !ok || item.Key != 1 {
		t.Errorf("%v %v", item, ok)
	}
	if item, ok := in.Find("two", "c"); ok {
		t.Errorf("%v", item)
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[int]int{-1: 1, 0: 1, 1: 1, 255: 255, 256: 1, 259: 1} {
		if got := codeOf(&Exit{Code: code, Err: errors.New("")}); got != want {
			t.Errorf("%d: %d", code, got)
		}
	}
}
