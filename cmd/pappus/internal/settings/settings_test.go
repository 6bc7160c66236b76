package settings_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"pappus/cmd/pappus/internal/settings"
)

// config has a field for every kind of value.
type config struct {
	text, word string
	on         bool
	count      int
	size       int64
	patience   time.Duration
	list       []string
	named      map[string]string
}

// newConfig makes a configuration and the settings bound to it.
func newConfig() (*config, *settings.Set) {
	c := &config{text: "a text", word: "one", count: 3, size: 1 << 20, patience: 5 * time.Second, named: map[string]string{}}
	return c, settings.New(
		settings.Setting{Name: "text", Usage: "a text", Value: settings.Text(&c.text, "TEXT", func(text string) error {
			if text == "bad" {
				return errors.New("it is bad")
			}
			return nil
		})},
		settings.Setting{Name: "word", Usage: "a | word", Value: settings.Choice(&c.word, "one", "two"), Live: true},
		settings.Setting{Name: "on", Usage: "a switch", Value: settings.Bool(&c.on)},
		settings.Setting{Name: "count", Usage: "a number", Value: settings.Count(&c.count, 1, 1000), Live: true},
		settings.Setting{Name: "max-size", Usage: "a size", Value: settings.Size(&c.size, 1), Live: true},
		settings.Setting{Name: "patience", Usage: "a time", Value: settings.Time(&c.patience)},
		settings.Setting{Name: "list", Usage: "a list", Example: "x,y", Live: true, Value: settings.Texts(&c.list, func(text string) error {
			if strings.Contains(text, ",") {
				return errors.New("it has a comma")
			}
			return nil
		})},
		settings.Setting{Name: "named", Usage: "named texts", Example: "a=1,b=2", Computed: "those of a page", Value: settings.Named(
			func() { clear(c.named) },
			func(name, value string) error {
				if name != "a" && name != "b" || value == "" || strings.Contains(value, ",") {
					return fmt.Errorf("%q is not right", value)
				}
				c.named[name] = value
				return nil
			},
		)},
		settings.Setting{Name: "computed", Usage: "found out", Value: settings.Count(new(int), 1, 10), Computed: "as many as there are", Example: "4"},
	)
}

// source sets one setting in each of the places.
type source struct {
	name     string
	texts    []string // of flags
	variable string
	file     string
}

var valid = []source{
	{"text", []string{"a: #b"}, "a: #b", `text: "a: #b"`},
	{"text", []string{"plain"}, "plain", "text: plain"},
	{"text", []string{"no"}, "no", "text: no"},
	{"text", []string{"null"}, "null", "text: 'null'"},
	{"text", []string{"1_000"}, "1_000", "text: 1_000"},
	{"text", []string{"2026-11-25"}, "2026-11-25", "text: 2026-11-25"},
	{"text", []string{"two lines"}, "two lines", "text: two\n  lines"},
	{"word", []string{"two"}, "two", "word: two"},
	{"on", []string{"true"}, "true", "on: true"},
	{"on", []string{"1"}, "1", "on: 1"},
	{"count", []string{"7"}, "7", "count: 7"},
	{"count", []string{"007"}, "7", "count: 007"},
	{"max-size", []string{"4GiB"}, "4GiB", "max-size: 4GiB"},
	{"max-size", []string{"4096"}, "4KiB", "max-size: 4096"},
	{"patience", []string{"1m30s"}, "90s", "patience: 1m30s"},
	{"list", []string{"x", "y,z"}, "x,y,z", "list: [x, y, z]"},
	{"list", []string{"x,y"}, "x,y", "list: x,y"},
	{"list", []string{"x"}, "x", "list:\n- x"},
	{"named", []string{"a=1", "b=2"}, "a=1,b=2", "named: {a: 1, b: 2}"},
	{"named", []string{"b=x"}, "b=x", "named: b=x"},
	{"named", []string{"b=x=y"}, "b=x=y", "named:\n  b: x=y"},
	{"computed", []string{"5"}, "5", "computed: 5"},
}

// parsed is the result of flags.
func parsed(t testing.TB, name string, texts ...string) settings.Given {
	t.Helper()
	_, set := newConfig()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	given := set.Bind(flags)
	for _, text := range texts {
		if err := flags.Parse([]string{"--" + name + "=" + text}); err != nil {
			t.Fatal(err)
		}
	}
	return given
}

// The same said in a flag, in a variable and in a file is the same, whatever
// weaker sources say, and its place is known.
func TestSourcesAreEqual(t *testing.T) {
	for _, v := range valid {
		_, fresh := newConfig()
		variable := settings.Variable(v.name)
		weaker := settings.Parse("weak.yaml", []byte("text: weak\nword: one\non: false\ncount: 99\nmax-size: 9\npatience: 9h\nlist: [w]\nnamed: {a: w, b: w}\ncomputed: 9\n"))
		var want config
		for i, c := range []struct {
			from  settings.Sources
			place string
		}{
			{settings.Sources{File: settings.Parse("f.yaml", []byte("# a comment\n"+v.file+"\n"))}, "f.yaml:2"},
			{settings.Sources{Environ: []string{variable + "=" + v.variable}, File: weaker}, variable},
			{settings.Sources{Flags: parsed(t, v.name, v.texts...), Environ: []string{variable + "="}, File: weaker}, "--" + v.name},
			{settings.Sources{Flags: parsed(t, v.name, v.texts...), Environ: []string{variable + "=" + v.variable}, File: weaker}, "--" + v.name},
		} {
			got, set := newConfig()
			if err := set.Load(c.from); err != nil {
				t.Errorf("%s: %v", v.file, err)
				continue
			}
			if place := set.Lookup(v.name).Place().String(); place != c.place {
				t.Errorf("%s comes from %s, not %s", v.name, place, c.place)
			}
			one := only(got, v.name)
			if i == 0 {
				want = one
				for _, other := range fresh.All() {
					if p := set.Lookup(other.Name).Place(); other.Name != v.name && p.Kind != settings.FromDefault {
						t.Errorf("%s sets %s", v.file, other.Name)
					}
				}
			}
			if !reflect.DeepEqual(one, want) {
				t.Errorf("%s: %+v from %s, %+v from the file", v.name, one, c.place, want)
			}
		}
	}
}

// only is a configuration with one field kept.
func only(c *config, name string) config {
	switch name {
	case "text":
		return config{text: c.text}
	case "word":
		return config{word: c.word}
	case "on":
		return config{on: c.on}
	case "count":
		return config{count: c.count}
	case "max-size":
		return config{size: c.size}
	case "patience":
		return config{patience: c.patience}
	case "list":
		return config{list: c.list}
	case "named":
		return config{named: c.named}
	}
	return config{}
}

// Every mistake is found, at its place, all of them at once.
func TestMistakes(t *testing.T) {
	for text, want := range map[string][]string{
		"max-siz: 1":                  {"f:1:1: max-siz: there is no such setting; did you mean max-size?"},
		"max_size: 1":                 {"f:1:1: max_size: there is no such setting; did you mean max-size?"},
		"zzzzzzzz: 1":                 {"f:1:1: zzzzzzzz: there is no such setting; docs/configuration.md lists all"},
		"config: x":                   {"f:1:1: config: there is no such setting; a file can't name another one"},
		"<<: {count: 1}":              {"there is no such setting"},
		"count: 0\n\nmax-size:\n  -1": {"f:1:8: count: 0 is out of bounds: the least is 1, the most 1000; write it like count: 3", "f:4:3: max-size: size \"-1\" is not"},
		"count: many":                 {`f:1:8: count: "many" is not a whole number`},
		"count: 1.5":                  {`"1.5" is not a whole number`},
		"count: 99999999999999999999": {"is not a whole number"},
		"count: [1]":                  {"f:1:8: count: it is a list; write it like count: 3"},
		"count: {a: 1}":               {"count: it is a mapping"},
		"count:":                      {"f:1:7: count: there is no value; write one, or leave out the line to get the default"},
		"count: ~":                    {"there is no value"},
		"count: !!str 1":              {"tags are not supported"},
		"count: &x 1":                 {"anchors and aliases are not supported"},
		"count: &x 1\ncomputed: *x":   {"f:1:8: count: anchors", "f:2:11: computed: anchors"},
		"count: 1\non: true\ncount: 2": {
			"f:3:1: count: it is there twice, first in line 1; leave one of them",
		},
		"on: yes":                    {`"yes" is neither true nor false; write it like on: false`},
		"patience: 0s":               {"it must be more than 0"},
		"patience: 5":                {`"5" is not a number with a unit`},
		"text: ''":                   {"it is empty"},
		"text: bad":                  {"it is bad"},
		`text: "a\u0000b"`:           {"control characters"},
		"word: three":                {`"three" is not one of one, two`},
		"list: [x, [y]]":             {"f:1:11: list: a list can't stand here; write a single value"},
		"list: [x, y, x]":            {`f:1:14: list: "x" is there twice`},
		"list: [x, ]":                nil,
		"list: [x, ~]":               {"there is no value"},
		"list: ['x,y']":              {"it has a comma"},
		"list: {a: b}":               {"it is a mapping; write it like list: [x, y]"},
		"named: [a]":                 {"it is a list; write it like named: {a: 1, b: 2}"},
		"named: {a: 1, c: 2, b: ''}": {`f:1:15: named: c: "2" is not right`, "f:1:21: named: b:"},
		"named: {a: 1, a: 2}":        {"a: it is there twice"},
		"named: {[a]: 1}":            {"a list can't stand here"},
		"named: a":                   {`"a" is not NAME=VALUE`},
		"named: a=1,a=2":             {"a: it is there twice"},
		"named: {a: {b: 1}}":         {"a mapping can't stand here"},
		"[count]: 1":                 {"f:1:1: a list can't be the name of a setting"},
		"&a count: 1":                {"anchors"},
		"- count":                    {"f:1:1: it is a list and not settings by name"},
		"count":                      {"it is a single value and not settings by name"},
		"a: b: c":                    {"f: it is not YAML"},
		"count: 1\n\tword: x":        {"f:2: it is not YAML"},
		"count: *x":                  {"it is not YAML: unknown anchor"},
		"text: 'open":                {"it is not YAML"},
		"count: 1\n---\ncount: 2":    {"there is a second document"},
		"count: 1\n--- ]":            {"it is not YAML"},
		"word: two\ntext: \xff":      {"f:2:7: it is not UTF-8; save it in that encoding"},
		"\xfe\xff\x00a":              {"f:1:1: it is not UTF-8"},
		"\xff: [\xff":                {"f:1:1: it is not UTF-8"},
		"":                           nil,
		"# nothing\n":                nil,
		"---\n":                      nil,
		"---\ncount: 1\n...\n":       nil,
		"\ufeffcount: 1":             nil,
		"{count: 1}":                 nil,
		"count: 1\r\nword: two\r\n":  nil,
		"list: []\nnamed: {}":        nil,
		strings.Repeat("a", 1000) + ": 1": {
			"f:1:1: " + strings.Repeat("a", 60) + "…: there is no such setting",
		},
		"\"a\\nb\": 1": {`"a\nb": there is no such setting`},
	} {
		_, set := newConfig()
		err := set.Load(settings.Sources{File: settings.Parse("f", []byte(text))})
		wantMistakes(t, clipped(text), err, want)
	}
}

func clipped(text string) string { return text[:min(len(text), 60)] }

func wantMistakes(t *testing.T, what string, err error, want []string) {
	t.Helper()
	var errs settings.Errors
	if err != nil && !errors.As(err, &errs) {
		t.Errorf("%q: %v", what, err)
		return
	}
	if len(errs) != len(want) {
		t.Errorf("%q: %d mistakes instead of %d: %v", what, len(errs), len(want), err)
		return
	}
	for i, e := range errs {
		if !strings.Contains(e.Error(), want[i]) {
			t.Errorf("%q: %s\nwithout: %s", what, e, want[i])
		}
	}
}

// What is wrong in one place is told also where a stronger one wins, and with
// what is wrong in the others.
func TestMistakesOfAllSources(t *testing.T) {
	_, set := newConfig()
	err := set.Load(settings.Sources{
		File:    settings.Parse("f", []byte("count: 0\nmax-size: 1")),
		Environ: []string{"PAPPUS_COUNT=none", "PAPPUS_MAX_SIZE=3", "PAPPUS_MAX_SIZ=3", "HOME=/"},
		Flags:   settings.Given{"count": {"5"}},
	})
	wantMistakes(t, "all", err, []string{
		"f:1:8: count: 0 is out of bounds",
		`PAPPUS_COUNT: "none" is not a whole number; correct or unset the variable`,
		"PAPPUS_MAX_SIZ: there is no such variable; did you mean PAPPUS_MAX_SIZE?",
	})
	if !strings.HasPrefix(err.Error(), "3 mistakes: ") {
		t.Errorf("together: %v", err)
	}
}

func TestVariables(t *testing.T) {
	for variable, want := range map[string][]string{
		// typing errors, of variables that are for something else too
		"PAPPUS_LIS=x": {"did you mean PAPPUS_LIST?"}, "PAPPUS_list=x": {"did you mean PAPPUS_LIST?"},
		"PAPPUS_CONFG=x": {"did you mean PAPPUS_CONFIG?"}, "PAPPUS_MAX_SIZ\n=x": {`"PAPPUS_MAX_SIZ\n"`},
		// what is for something else, or somebody else's
		"PAPPUS_SERVER=x": nil, "PAPPUS_CONFIG=x": nil, "PAPPUS_LIS=": nil, "pappus_list=x": nil, "PAPPUS_": nil, "PAPPUS_=x": nil, "": nil,
		"PAPPUS_PORT=tcp://10.0.0.1:80": nil, "PAPPUS_PORT_8080_TCP_ADDR=x": nil, "PAPPUS_SERVICE_HOST=x": nil, "PAPPUS_PORT_8080_TCP=x": nil,
		"PAPPUS_LIST_PORT=x": nil, "PAPPUS_ON_SERVICE_PORT=x": nil, "PAPPUS_SERVICE_PORT_HTTP=x": nil,
	} {
		c, set := newConfig()
		err := set.Load(settings.Sources{Environ: []string{variable}, Others: []string{"config", "server"}})
		wantMistakes(t, variable, err, want)
		if c.list != nil {
			t.Errorf("%s sets %v", variable, c.list)
		}
	}
}

func TestFlagsRefuse(t *testing.T) {
	for _, args := range [][]string{{"--count=0"}, {"--list=a", "--list=a"}, {"--named=a=1", "--named=a=2"}, {"--named=a"}, {"--text="}, {"--on=maybe"}} {
		_, set := newConfig()
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.Bind(flags)
		if err := flags.Parse(args); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	c, set := newConfig()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	given := set.Bind(flags)
	if err := flags.Parse([]string{"--on", "--list", "a", "--list", "b,c"}); err != nil {
		t.Fatal(err)
	}
	if err := set.Load(settings.Sources{Flags: given}); err != nil || !c.on || !slices.Equal(c.list, []string{"a", "b", "c"}) {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	large := append([]byte("count: 4\n"), []byte(strings.Repeat("#", settings.MaxFile))...)
	for file, content := range map[string][]byte{"good": large[:settings.MaxFile], "large": large[:settings.MaxFile+1]} {
		if err := os.WriteFile(name(file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"missing": "no such file", "": "not a regular file", "large": "larger than 1MiB"} {
		if _, err := settings.Read(name(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	f, err := settings.Read(name("good"))
	if err != nil {
		t.Fatal(err)
	}
	c, set := newConfig()
	if err := set.Load(settings.Sources{File: f}); err != nil || c.count != 4 {
		t.Errorf("%v, %+v", err, c)
	}
}

// drawn is a value that a flag could have, for each setting or none.
func drawn(t *rapid.T) settings.Given {
	texts := rapid.StringMatching(`[ -~äß€😀]{1,12}`).Filter(func(s string) bool { return s != "bad" })
	elements := rapid.StringMatching(`[ -+.-~äß€😀]{1,8}`)
	given := settings.Given{}
	set := func(name string, value string) {
		if rapid.Bool().Draw(t, "set "+name) {
			given[name] = []string{value}
		}
	}
	set("text", texts.Draw(t, "text"))
	set("word", rapid.SampledFrom([]string{"one", "two"}).Draw(t, "word"))
	set("on", fmt.Sprint(rapid.Bool().Draw(t, "on")))
	set("count", fmt.Sprint(rapid.IntRange(1, 1000).Draw(t, "count")))
	set("max-size", fmt.Sprint(rapid.Int64Range(1, 1<<62).Draw(t, "size")))
	set("patience", time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "patience")).String())
	set("list", strings.Join(rapid.SliceOfNDistinct(elements, 1, 5, rapid.ID).Draw(t, "list"), ","))
	set("named", "b="+elements.Draw(t, "b")+",a="+elements.Draw(t, "a"))
	set("computed", fmt.Sprint(rapid.IntRange(1, 10).Draw(t, "computed")))
	return given
}

// What is printed is read as the same configuration, by the file that it is.
func TestPrintedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, set := newConfig()
		if err := set.Load(settings.Sources{Flags: drawn(t)}); err != nil {
			t.Fatal(err)
		}
		set.Show("computed", "3")
		text := set.YAML()
		after, again := newConfig()
		if err := again.Load(settings.Sources{File: settings.Parse("printed", text)}); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%+v\n%+v\n%s", before, after, text)
		}
		if changes := set.Changes(again); len(changes) != 0 {
			t.Fatalf("%+v", changes)
		}
		if third := again.YAML(); withoutComments(third) != withoutComments(text) {
			t.Fatalf("%s\n%s", text, third)
		}
		if text, err := set.JSON(); err != nil || !json.Valid(text) {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}

func withoutComments(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// The file to begin with sets nothing, and each of its lines can be used.
func TestTemplate(t *testing.T) {
	fresh, set := newConfig()
	text := string(set.Template())
	c, empty := newConfig()
	if err := empty.Load(settings.Sources{File: settings.Parse("", []byte(text))}); err != nil || !reflect.DeepEqual(c, fresh) {
		t.Fatalf("%v, %+v", err, c)
	}
	var used strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			used.WriteString(rest)
		}
	}
	c, full := newConfig()
	if err := full.Load(settings.Sources{File: settings.Parse("t", []byte(used.String()))}); err != nil {
		t.Fatalf("%v\n%s", err, used.String())
	}
	for _, s := range full.All() {
		if s.Place().Kind != settings.FromFile {
			t.Errorf("%s is not in it", s.Name)
		}
	}
	if !slices.Equal(c.list, []string{"x", "y"}) || c.named["b"] != "2" {
		t.Errorf("%+v", c)
	}
}

func TestMarkdown(t *testing.T) {
	_, set := newConfig()
	text := string(set.Markdown())
	for _, want := range []string{
		"| `word` | `PAPPUS_WORD` | `one` | a \\| word | changes it |\n", "| `patience` | `PAPPUS_PATIENCE` | `5s` | a time | restart |\n",
		"| as many as there are |", "| none |", "| those of a page |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("without %s\n%s", want, text)
		}
	}
}

// A server that runs takes what can change, and tells all that differs.
func TestMergeAndChanges(t *testing.T) {
	load := func(text string) (*config, *settings.Set) {
		c, set := newConfig()
		if err := set.Load(settings.Sources{File: settings.Parse("f", []byte(text))}); err != nil {
			t.Fatal(err)
		}
		return c, set
	}
	_, running := load("count: 5\npatience: 1s\nnamed: {a: 1}\nlist: [x]\n")
	_, wanted := load("max-size: 4KiB\npatience: 2s\nword: two\ncomputed: 4\n")
	c, merged := newConfig()
	if err := merged.Merge(running, wanted); err != nil {
		t.Fatal(err)
	}
	want, _ := newConfig()
	want.word, want.size, want.patience, want.named = "two", 4096, time.Second, map[string]string{"a": "1"}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v\n%+v", c, want)
	}
	var told []string
	for _, change := range running.Changes(wanted) {
		told = append(told, fmt.Sprintf("%s %t %s > %s (%s)", change.Setting.Name, change.Setting.Live, change.Old, change.New, change.Setting.Place()))
	}
	if !slices.Equal(told, []string{
		"word true one > two (f:3)", "count true 5 > 3 (default)", "max-size true 1MiB > 4KiB (f:1)", "patience false 1s > 2s (f:2)",
		"list true x > none (default)", "named false a=1 > those of a page (default)", "computed false as many as there are > 4 (f:4)",
	}) {
		t.Errorf("%s", strings.Join(told, "\n"))
	}
	if after := merged.Changes(wanted); len(after) != 3 {
		t.Errorf("%+v", after)
	}
}

// No file makes the reader fail in another way than by telling mistakes, and
// one without any is printed so that it is read again.
func FuzzParse(f *testing.F) {
	for _, v := range valid {
		f.Add([]byte(v.file))
	}
	_, set := newConfig()
	f.Add(set.YAML())
	f.Add(set.Template())
	for _, text := range []string{"a: &a [*a, *a]", "? [a]\n: b", "count: 1\n---\n", "\"\\xff\": 1", "list: [x, [y]]", "text: >\n a\n\n b\n", "!!set {a, b}", "<<: *x", "- - - a", "text: \"\\L\""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, set := newConfig()
		if err := set.Load(settings.Sources{File: settings.Parse("f", text)}); err != nil {
			var errs settings.Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatal(err)
			}
			for _, e := range errs {
				if e.Message == "" || e.File != "f" {
					t.Errorf("%+v", e)
				}
			}
			return
		}
		set.Show("computed", "3")
		printed := set.YAML()
		again, other := newConfig()
		if err := other.Load(settings.Sources{File: settings.Parse("printed", printed)}); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%v\n%+v\n%+v\n%s", err, c, again, printed)
		}
	})
}
