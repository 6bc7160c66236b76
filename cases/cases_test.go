package cases_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"pappus/cases"
	"pappus/data"
	"pappus/engine"
)

func folder(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return m
}

func set(name string, items ...*data.Item) data.Set { return data.Set{Name: name, Items: items} }

func item(name string, key uint32, content string) *data.Item {
	return data.NewItem(name, key, []byte(content))
}

func TestReadAll(t *testing.T) {
	list, err := cases.ReadAll(folder(map[string]string{
		"b/in/text/x/y": "1", "b/in/text/a": "2", "b/in/more/z": "", "b/out/o/p": "3",
		"b/case.json": `{"keys": {"in": {"text/a": 4294967295}, "out": {"o/p": 5}}, "limits": {"memory": "16MiB", "fuel": 1000, "timeout": "2s"}, "exit_code": 0}`,
		"a/case.json": `{"exit_code": 7}`,
		"c/case.json": `{"fault": "out-of-memory"}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].Name != "a" || list[1].Name != "b" || list[2].Name != "c" {
		t.Fatalf("read %v", list)
	}
	b := list[1]
	if want := []data.Set{set("more", item("z", 0, "")), set("text", item("x/y", 0, "1"), item("a", 1<<32-1, "2"))}; !data.Equal(b.In, want) {
		t.Errorf("in %v", b.In)
	}
	if want := []data.Set{set("o", item("p", 5, "3"))}; !data.Equal(b.Out, want) {
		t.Errorf("out %v", b.Out)
	}
	if b.Limits.Memory != 16<<20 || b.Limits.Fuel != 1000 || b.Limits.Timeout.String() != "2s" {
		t.Errorf("limits %+v", b.Limits)
	}
	for i, want := range []string{"exit 7", "ok", "out-of-memory"} {
		if got := list[i].End(); got != want {
			t.Errorf("case %d ends with %s, want %s", i, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, c := range map[string]struct {
		files        map[string]string
		file, reason string
	}{
		"no cases":          {nil, ".", "no cases"},
		"a file":            {map[string]string{"x": ""}, "x", "not a folder"},
		"another folder":    {map[string]string{"x/input/a/b": ""}, "x/input", "no part of a case"},
		"an item alone":     {map[string]string{"x/in/a": ""}, "x/in/a", "not a folder"},
		"in is a file":      {map[string]string{"x/in": ""}, "x/in", "not a folder"},
		"a set's name":      {map[string]string{"x/in/a\n/b": ""}, "x/in/a\n", "control character"},
		"an item's name":    {map[string]string{"x/in/a/b\x1b": ""}, "x/in/a/b\x1b", "control character"},
		"no JSON":           {map[string]string{"x/case.json": "{"}, "x/case.json", "not an object"},
		"a list":            {map[string]string{"x/case.json": "[]"}, "x/case.json", "not an object"},
		"unknown member":    {map[string]string{"x/case.json": `{"Fault": "trap"}`}, "x/case.json", `no member "Fault"; allowed are exit_code, fault, keys, limits`},
		"unknown side":      {map[string]string{"x/case.json": `{"keys": {"inputs": {}}}`}, "x/case.json", `no member "keys.inputs"; allowed are in, out`},
		"unknown limit":     {map[string]string{"x/case.json": `{"limits": {"wall": "1s"}}`}, "x/case.json", `no member "limits.wall"; allowed are fuel,`},
		"a limit's form":    {map[string]string{"x/case.json": `{"limits": {"memory": "much"}}`}, "x/case.json", "much"},
		"too high a limit":  {map[string]string{"x/case.json": `{"limits": {"stack": "1GiB"}}`}, "x/case.json", "limit stack"},
		"negative fuel":     {map[string]string{"x/case.json": `{"limits": {"fuel": -1}}`}, "x/case.json", "limit fuel"},
		"a key's form":      {map[string]string{"x/case.json": `{"keys": {"in": {"a/b": 4294967296}}}`}, "x/case.json", "keys.in"},
		"a negative key":    {map[string]string{"x/case.json": `{"keys": {"in": {"a/b": -1}}}`}, "x/case.json", "keys.in"},
		"a key of nothing":  {map[string]string{"x/in/a/b": "", "x/case.json": `{"keys": {"in": {"a/c": 1}}}`}, "x/case.json", `no item "a/c"`},
		"exit code as text": {map[string]string{"x/case.json": `{"exit_code": "1"}`}, "x/case.json", "exit_code is a string"},
		"unknown fault":     {map[string]string{"x/case.json": `{"fault": "tired"}`}, "x/case.json", `"tired"`},
		"platform's fault":  {map[string]string{"x/case.json": `{"fault": "overload"}`}, "x/case.json", `"overload"`},
		"exit without code": {map[string]string{"x/case.json": `{"fault": "exit"}`}, "x/case.json", "no exit code"},
		"two ends":          {map[string]string{"x/case.json": `{"fault": "trap", "exit_code": 2}`}, "x/case.json", "exclude each other"},
		"failure's outputs": {map[string]string{"x/case.json": `{"exit_code": 2}`, "x/out/a/b": ""}, "x/out", "no outputs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cases.ReadAll(folder(c.files))
			var form *cases.FormError
			if !errors.As(err, &form) || form.File != c.file || !strings.Contains(form.Reason, c.reason) || form.Hint == "" {
				t.Errorf("%v (%+v), want %s: %s", err, form, c.file, c.reason)
			}
		})
	}
	if _, err := cases.ReadAll(fstest.MapFS{"x/in/a/dev": &fstest.MapFile{Mode: fs.ModeDevice}}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device was read: %v", err)
	}
}

// Nothing waits for somebody to write into a pipe.
func TestPipesAreNotRead(t *testing.T) {
	for _, file := range []string{"a/case.json", "a/in/text/x", "a/in/text", "a/in", "a"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(dir, file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := cases.ReadAll(os.DirFS(dir))
		var form *cases.FormError
		if !errors.As(err, &form) || form.File != file {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestFits(t *testing.T) {
	sig := engine.Signature{
		Inputs:  []engine.Param{{Name: "many", Type: engine.TypeSet}, {Name: "one", Type: engine.TypeItem}},
		Outputs: []engine.Param{{Name: "o", Type: engine.TypeSet}},
	}
	one := set("one", item("x", 0, ""))
	for name, c := range map[string]struct {
		c     cases.Case
		wrong string
	}{
		"fits":        {cases.Case{In: []data.Set{one}, Out: []data.Set{set("o")}}, ""},
		"other input": {cases.Case{In: []data.Set{one, set("other")}}, "/in/other"},
		"other out":   {cases.Case{In: []data.Set{one}, Out: []data.Set{set("other")}}, "/out/other"},
		"none of one": {cases.Case{}, "/in/one"},
		"two of one":  {cases.Case{In: []data.Set{set("one", item("x", 0, ""), item("y", 0, ""))}}, "/in/one"},
	} {
		c.c.Name = "case"
		err := c.c.Fits(sig)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), "case"+c.wrong+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&cases.Case{In: []data.Set{set("any")}}).Fits(engine.OpenSignature()); err != nil {
		t.Errorf("an open signature: %v", err)
	}
}

func TestCompare(t *testing.T) {
	a, b := item("a", 0, "one"), item("b", 0, "two")
	for name, c := range map[string]struct {
		got, want []data.Set
		text      string
		offset    int64
	}{
		"same":            {[]data.Set{set("s", a, b)}, []data.Set{set("s", a, b)}, "", 0},
		"empty is none":   {[]data.Set{set("s", a), set("t")}, []data.Set{set("u"), set("s", a)}, "", 0},
		"byte":            {[]data.Set{set("s", item("a", 0, "ona"))}, []data.Set{set("s", a)}, "s/a differs at byte 2: 0x61 instead of 0x65", 2},
		"shorter":         {[]data.Set{set("s", item("a", 0, "o"))}, []data.Set{set("s", a)}, "s/a differs at byte 1, where one ends: it has 1 bytes instead of 3", 1},
		"longer":          {[]data.Set{set("s", item("a", 0, "one!"))}, []data.Set{set("s", a)}, "s/a differs at byte 3, where one ends: it has 4 bytes instead of 3", 3},
		"key":             {[]data.Set{set("s", item("a", 1, "one"))}, []data.Set{set("s", a)}, "s/a has key 1 instead of 0", -1},
		"missing":         {[]data.Set{set("s", b)}, []data.Set{set("s", a, b)}, "s/a is missing", -1},
		"missing at end":  {[]data.Set{set("s", a)}, []data.Set{set("s", a, b)}, "s/b is missing", -1},
		"unexpected":      {[]data.Set{set("s", a, b)}, []data.Set{set("s", b)}, "s/a is there, as item 1 of the set, and should not be", -1},
		"order":           {[]data.Set{set("s", b, a)}, []data.Set{set("s", a, b)}, "s/b is there, as item 1 of the set, and should not be", -1},
		"twice":           {[]data.Set{set("s", a, a)}, []data.Set{set("s", a)}, "s/a is there, as item 2 of the set, and should not be", -1},
		"unexpected set":  {[]data.Set{set("s", a), set("t", b)}, []data.Set{set("s", a)}, "t/b is there, as item 1 of the set, and should not be", -1},
		"the other's set": {[]data.Set{set("s", a)}, []data.Set{set("t", a)}, "t/a is missing", -1},
	} {
		d := cases.Compare(c.got, c.want)
		switch {
		case d == nil && c.text == "":
		case d == nil || d.String() != c.text || d.Offset != c.offset:
			t.Errorf("%s: %v, want %q at %d", name, d, c.text, c.offset)
		}
	}
	c := cases.Case{Out: []data.Set{set("s", a, b)}}
	if d := c.Check([]data.Set{set("s", b, a)}); d != nil {
		t.Errorf("files have no order: %v", d)
	}
}

// Compare finds a difference exactly where data.Equal does, for sets of the
// same names.
func TestCompareIsEqual(t *testing.T) {
	items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *data.Item {
		return item(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"), rapid.Uint32Range(0, 1).Draw(t, "key"), rapid.SampledFrom([]string{"", "x", "xy"}).Draw(t, "content"))
	}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		got, want := []data.Set{set("s", items.Draw(t, "got")...)}, []data.Set{set("s", items.Draw(t, "want")...)}
		if d := cases.Compare(got, want); (d == nil) != data.Equal(got, want) {
			t.Fatalf("%v", d)
		}
	})
}

func TestSame(t *testing.T) {
	fault := func(kind engine.FaultKind, code int32, stderr string) *cases.Outcome {
		return &cases.Outcome{Fault: &engine.Fault{Kind: kind, ExitCode: code, Stderr: []byte(stderr)}}
	}
	success := func(fuel, pages int64, content string) *cases.Outcome {
		return &cases.Outcome{Outputs: []data.Set{set("s", item("i", 0, content))}, Usage: engine.Usage{Fuel: fuel, MemoryPages: pages}}
	}
	for _, c := range []struct {
		a, b *cases.Outcome
		why  string
	}{
		{success(1, 2, "x"), success(1, 2, "x"), ""},
		{success(1, 2, "x"), success(3, 2, "x"), "it used 1 fuel instead of 3"},
		{success(1, 2, "x"), success(1, 3, "x"), "it had 2 pages of memory instead of 3"},
		{success(1, 2, "x"), success(1, 2, "y"), "s/i differs at byte 0: 0x78 instead of 0x79"},
		{success(0, 0, "x"), fault(engine.FaultTrap, 0, ""), "it ended with ok instead of trap"},
		{fault(engine.FaultExit, 1, ""), fault(engine.FaultExit, 2, ""), "it ended with exit 1 instead of exit 2"},
		{fault(engine.FaultExit, 1, "a"), fault(engine.FaultExit, 1, "b"), "it wrote something else to stderr"},
		{fault(engine.FaultTrap, 0, "a"), fault(engine.FaultTrap, 0, "a"), ""},
	} {
		if why := cases.Same(c.a, c.b).String(); why != c.why {
			t.Errorf("%q, want %q", why, c.why)
		}
	}
}

// ends is a program that ends in a way that was settled before.
type ends struct {
	engine.Program
	result engine.Result
	err    error
}

func (e ends) Run(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
	return e.result, e.err
}

func TestRun(t *testing.T) {
	broken := errors.New("broken")
	outputs := []data.Set{set("o", item("i", 0, "x"))}
	for _, c := range []struct {
		c    cases.Case
		p    ends
		want string
	}{
		{cases.Case{Out: outputs}, ends{result: engine.NewResult(outputs, engine.Usage{}, 0, func() {})}, ""},
		{cases.Case{}, ends{result: engine.NewResult(outputs, engine.Usage{}, 0, nil)}, "o/i is there, as item 1 of the set, and should not be"},
		{cases.Case{Fault: engine.FaultExit, ExitCode: 3}, ends{err: &engine.Fault{Kind: engine.FaultExit, ExitCode: 3}}, ""},
		{cases.Case{Fault: engine.FaultExit, ExitCode: 3}, ends{err: &engine.Fault{Kind: engine.FaultExit, ExitCode: 4}}, "it ended with exit 4 instead of exit 3"},
		{cases.Case{}, ends{err: &engine.Fault{Kind: engine.FaultTrap, Detail: "why"}}, "it ended with trap (why) instead of ok"},
	} {
		o, err := c.c.Run(t.Context(), c.p, engine.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if why := c.c.Differs(o).String(); why != c.want {
			t.Errorf("%q, want %q", why, c.want)
		}
	}
	if _, err := (&cases.Case{}).Run(t.Context(), ends{err: broken}, engine.Limits{}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestChanges(t *testing.T) {
	a, b := item("a", 0, "one"), item("b", 0, "two")
	for name, c := range map[string]struct {
		got, want []data.Set
		list      string // "SET/ITEM", with - if it is missing and + if it should not be there
	}{
		"same":       {[]data.Set{set("s", b, a)}, []data.Set{set("s", a, b)}, ""},
		"bytes":      {[]data.Set{set("s", item("a", 0, "x"), b)}, []data.Set{set("s", a, b)}, "s/a"},
		"key":        {[]data.Set{set("s", item("a", 1, "one"))}, []data.Set{set("s", a)}, "s/a"},
		"missing":    {[]data.Set{set("s", b)}, []data.Set{set("s", a, b)}, "-s/a"},
		"more":       {[]data.Set{set("s", a, b)}, []data.Set{set("s", b)}, "+s/a"},
		"other sets": {[]data.Set{set("r", a), set("t")}, []data.Set{set("s", a, b)}, "+r/a -s/a -s/b"},
		"twice":      {[]data.Set{set("s", a, item("a", 0, "x"))}, []data.Set{set("s", a)}, "+s/a"},
	} {
		one := cases.Case{Out: c.want}
		var list []string
		for _, change := range one.Changes(c.got) {
			text := change.Set + "/" + change.Item
			switch {
			case change.Got == nil:
				text = "-" + text
			case change.Want == nil:
				text = "+" + text
			}
			list = append(list, text)
		}
		if got := strings.Join(list, " "); got != c.list {
			t.Errorf("%s: %q, want %q", name, got, c.list)
		}
		if (one.Check(c.got) == nil) != (c.list == "") {
			t.Errorf("%s: Check says %v", name, one.Check(c.got))
		}
	}
}

// What Update has written is read as a case that the outcome fulfils.
func TestUpdate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "cases")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // the system empties its folder for such
		before := fstest.MapFS{
			"x/in/i/a": {Data: []byte("in")}, "x/out/o/old": {Data: []byte("old")},
			"x/case.json": {Data: []byte(`{"keys": {"in": {"i/a": 3}, "out": {"o/old": 4}}, "limits": {"fuel": 9}}`)},
			"y/in/i/a":    {Data: []byte("in")},
		}
		if err := os.CopyFS(dir, before); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		o := &cases.Outcome{}
		switch rapid.IntRange(0, 2).Draw(t, "end") {
		case 0:
			o.Fault = &engine.Fault{Kind: engine.FaultExit, ExitCode: rapid.Int32Range(1, 300).Draw(t, "code")}
		case 1:
			o.Fault = &engine.Fault{Kind: engine.FaultTrap}
		default:
			names := rapid.SliceOfDistinct(rapid.StringMatching(`[ab]/[c-e]{1,3}`), rapid.ID[string]).Draw(t, "items")
			sets := map[string]*data.Set{}
			for _, name := range names {
				s, n, _ := strings.Cut(name, "/")
				if sets[s] == nil {
					sets[s] = &data.Set{Name: s}
				}
				sets[s].Items = append(sets[s].Items, data.NewItem(n, rapid.Uint32Range(0, 2).Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
			}
			for _, s := range sets {
				o.Outputs = append(o.Outputs, *s)
			}
		}
		for _, name := range []string{"x", "y"} {
			if err := cases.Update(root, name, o); err != nil {
				t.Fatal(err)
			}
			c, err := cases.Read(os.DirFS(dir), name)
			if err != nil {
				t.Fatal(err)
			}
			if d := c.Differs(o); d != nil || c.End() != o.End() {
				t.Fatalf("%s: %v, ends with %s", name, d, c.End())
			}
			if len(c.In) != 1 || string(c.In[0].Items[0].Bytes()) != "in" {
				t.Fatalf("%s: in is %v", name, c.In)
			}
			if name == "x" && (c.In[0].Items[0].Key() != 3 || c.Limits.Fuel != 9) {
				t.Fatalf("keys or limits are lost: %+v", c)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "y", "case.json")); err == nil && o.Fault == nil && !anyKey(o.Outputs) {
			t.Fatal("there is a case.json that says nothing")
		}
	})
}

func anyKey(sets []data.Set) bool {
	for _, s := range sets {
		for _, it := range s.Items {
			if it.Key() != 0 {
				return true
			}
		}
	}
	return false
}

// What files can't hold changes nothing.
func TestUpdateRefuses(t *testing.T) {
	for name, s := range map[string]data.Set{
		"two of a name":   set("o", item("a", 0, "1"), item("a", 0, "2")),
		"above":           set("o", item("../../y", 0, "1")),
		"root":            set("o", item("/y", 0, "1")),
		"not clean":       set("o", item("a//b", 0, "1")),
		"no name":         set("o", item("", 0, "1")),
		"file and folder": set("o", item("a", 0, "1"), item("a/b", 0, "2")),
		"folder and file": set("o", item("a/b", 0, "1"), item("a", 0, "2")),
		"a long name":     set("o", item("a", 7, "1"), item(strings.Repeat("b", 256), 0, "2")),
		"a long set":      set(strings.Repeat("o", 256), item("a", 0, "1")),
	} {
		dir := t.TempDir()
		before := map[string]string{"x/out/o/old": "old", "x/case.json": `{"keys": {"out": {"o/old": 4}}}`}
		if err := os.CopyFS(dir, folder(before)); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := cases.Update(root, "x", &cases.Outcome{Outputs: []data.Set{s}}); err == nil {
			t.Errorf("%s was written", name)
		}
		if err := root.Close(); err != nil {
			t.Error(err)
		}
		if after := contents(t, dir); !maps.Equal(after, before) {
			t.Errorf("%s: there is %q", name, after)
		}
	}
}

// contents are those of all files in a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		name, relErr := filepath.Rel(dir, file)
		files[name] = string(text)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// An update may be ended anywhere: the case can be read, its inputs are the same,
// and the next update leaves nothing of the ended one.
func TestUpdateThatWasEnded(t *testing.T) {
	const (
		keys   = `{"keys": {"in": {"i/a": 3}}}`
		old    = `{"keys": {"in": {"i/a": 3}, "out": {"o/old": 4}}}`
		failed = `{"keys": {"in": {"i/a": 3}}, "fault": "trap"}`
		latest = `{"keys": {"in": {"i/a": 3}, "out": {"o/new": 5}}}`
	)
	for name, files := range map[string]map[string]string{
		"half of it is made":      {"x/case.json": old, "x/out/o/old": "old", "x/.updating/out/o/new": "ne"},
		"all of it is made":       {"x/case.json": old, "x/out/o/old": "old", "x/.updating/out/o/new": "new", "x/.updating/before.json": keys, "x/.updating/case.json": latest},
		"no settings of outputs":  {"x/case.json": keys, "x/out/o/old": "old", "x/.updating/out/o/new": "new", "x/.updating/case.json": latest},
		"no outputs":              {"x/case.json": keys, "x/.updating/old/o/old": "old", "x/.updating/out/o/new": "new", "x/.updating/case.json": latest},
		"outputs":                 {"x/case.json": keys, "x/.updating/old/o/old": "old", "x/out/o/new": "new", "x/.updating/case.json": latest},
		"a failure, not in place": {"x/case.json": keys, "x/.updating/old/o/old": "old", "x/.updating/case.json": failed},
		"in place":                {"x/case.json": latest, "x/.updating/old/o/old": "old", "x/out/o/new": "new"},
	} {
		dir := t.TempDir()
		files["x/in/i/a"] = "in"
		if err := os.CopyFS(dir, folder(files)); err != nil {
			t.Fatal(err)
		}
		c, err := cases.Read(os.DirFS(dir), "x")
		if err != nil || len(c.In) != 1 || c.In[0].Items[0].Key() != 3 {
			t.Fatalf("%s: %+v, %v", name, c, err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		o := &cases.Outcome{Outputs: []data.Set{set("o", item("other", 6, "other"))}}
		if err := errors.Join(cases.Update(root, "x", o), root.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after := contents(t, dir)
		c, err = cases.Read(os.DirFS(dir), "x")
		if err != nil || c.Differs(o) != nil || c.In[0].Items[0].Key() != 3 || len(after) != 3 {
			t.Errorf("%s: %v, there is %q", name, err, after)
		}
	}
}
