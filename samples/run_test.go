package samples_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/samples"
	"pappus/wasmengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sampleCase is a case folder of samples/README.md.
type sampleCase struct {
	Keys struct {
		In, Out map[string]uint32 // by "SET/ITEM"
	}
	Limits   engine.Limits
	ExitCode int32 `json:"exit_code"`
	Fault    engine.FaultKind
}

func readCase(t *testing.T, dir string) sampleCase {
	t.Helper()
	var c sampleCase
	text, err := fs.ReadFile(samples.Files(), path.Join(dir, "case.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.ExitCode != 0 {
		c.Fault = engine.FaultExit
	}
	return c
}

// readSets reads the folder "in" or "out" of a case as the sets of params.
func readSets(t *testing.T, dir string, params []engine.Param, keys map[string]uint32) []data.Set {
	t.Helper()
	sets := make([]data.Set, len(params))
	for i, p := range params {
		sets[i].Name = p.Name
	}
	err := fs.WalkDir(samples.Files(), dir, func(file string, d fs.DirEntry, err error) error {
		if file == dir && errors.Is(err, fs.ErrNotExist) {
			return nil // a case without items has no folder
		}
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(file, dir+"/")
		set, item, _ := strings.Cut(name, "/")
		content, err := fs.ReadFile(samples.Files(), file)
		for i := range sets {
			if sets[i].Name == set {
				sets[i].Items = append(sets[i].Items, data.NewItem(item, keys[name], content))
				return err
			}
		}
		t.Errorf("%s: the function has no set %s", file, set)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sets {
		s.Order()
	}
	return sets
}

// prepared is a sample that is ready to run.
type prepared struct {
	program engine.Program
	sig     engine.Signature
	limits  engine.Limits
}

// prepare makes a sample ready; limits are those in place of its own.
func prepare(t *testing.T, e engine.Engine, sample string, limits engine.Limits) *prepared {
	t.Helper()
	code, err := fs.ReadFile(samples.Files(), path.Join(sample, sample+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	p := &prepared{sig: insp.Manifest.Signature(), limits: limits.Or(insp.Manifest.Limits).Or(engine.DefaultLimits())}
	if p.program, err = e.Prepare(t.Context(), code, p.sig, p.limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.program.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newEngine(t *testing.T, config wasmengine.Config) engine.Engine {
	t.Helper()
	e, err := wasmengine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestCasesRun runs every case, twice and on short slices too: each time it
// must give what the case folder says, and use the same fuel.
func TestCasesRun(t *testing.T) {
	dirs, err := fs.Glob(samples.Files(), "*/cases/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	long, short := newEngine(t, wasmengine.Config{}), newEngine(t, wasmengine.Config{Slice: 1009})
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			c := readCase(t, dir)
			sample, _, _ := strings.Cut(dir, "/")
			want := int64(-1)
			for _, e := range []engine.Engine{long, short} {
				p := prepare(t, e, sample, c.Limits)
				for range 2 {
					fuel := c.run(t, p, dir)
					if want < 0 {
						want = fuel
					}
					if fuel != want {
						t.Errorf("fuel %d, and %d before", fuel, want)
					}
				}
			}
		})
	}
}

// run runs the case in folder dir once and returns the fuel that was used.
func (c *sampleCase) run(t *testing.T, p *prepared, dir string) int64 {
	t.Helper()
	result, err := p.program.Run(t.Context(), readSets(t, path.Join(dir, "in"), p.sig.Inputs, c.Keys.In), p.limits)
	if c.Fault != "" {
		var fault *engine.Fault
		if !errors.As(err, &fault) || fault.Kind != c.Fault || (c.ExitCode != 0 && fault.ExitCode != c.ExitCode) {
			t.Fatalf("error %v instead of %s with exit code %d", err, c.Fault, c.ExitCode)
		}
		return fault.Usage.Fuel
	}
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	if want := readSets(t, path.Join(dir, "out"), p.sig.Outputs, c.Keys.Out); !data.Equal(result.Outputs, want) {
		t.Errorf("outputs:\n%q\ninstead of:\n%q", contents(result.Outputs), contents(want))
	}
	return result.Usage.Fuel
}

// gives fails unless the sample makes want, the content of its only output
// item, of the sets.
func (p *prepared) gives(t *rapid.T, want []byte, sets ...data.Set) {
	t.Helper()
	result, err := p.program.Run(t.Context(), sets, p.limits)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	if items := result.Outputs[0].Items; len(items) != 1 || !bytes.Equal(items[0].Bytes(), want) {
		t.Fatalf("%q instead of %q", contents(result.Outputs), want)
	}
}

// set is a set of unnamed items.
func set(name string, contents ...[]byte) data.Set {
	s := data.Set{Name: name}
	for _, b := range contents {
		s.Items = append(s.Items, data.NewItem("", 0, b))
	}
	return s
}

// edgesOfUTF8 are the first and last characters of each length and class, and
// what is just no character any more.
var edgesOfUTF8 = []string{
	"a", "Z", "0", " ", "\x7F", "\x80", "\xBF", "\xC1\xBF", "\u0080", "ª", "µ", "º", "¿", "À", "×", "÷", "\u07FF", "\xC2", "\xDF",
	"\xE0\x9F\xBF", "\u0800", "\u1FFF", "\u2000", "\u206F", "\u2070", "\u2FFF", "\u3000", "\u303F", "\u3040", "\uD7FF",
	"\xED\xA0\x80", "\xED\xBF\xBF", "\uE000", "\uFEFF", "\uFFFD", "\uFFFF", "\xE2\x82", "\xEF", "\xF0\x8F\xBF\xBF",
	"\U00010000", "\U0010FFFF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF0\x9F\x98", "\xF8\x88\x80\x80\x80", "\xFF",
}

// The samples must do on any input what the same does in Go.

func TestMatmulIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "matmul", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 12).Draw(t, "rows"), rapid.IntRange(1, 12).Draw(t, "cols")
		item := matrix(int64(rows), rapid.SliceOfN(rapid.Int64(), rows*cols, rows*cols).Draw(t, "values")...)
		p.gives(t, timesTranspose(item), set("matrices", item))
	})
}

func TestMatmulSizeIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "matmul-size", engine.Limits{})
	for n := 1; n <= 40; n++ {
		result, err := p.program.Run(t.Context(), []data.Set{set("size", []byte(strconv.Itoa(n)))}, p.limits)
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Outputs[0].Items[0].Bytes(); !bytes.Equal(got, checksum(n)) {
			t.Errorf("size %d: %q instead of %q", n, got, checksum(n))
		}
		result.Release()
	}
}

func TestWordcountIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "wordcount", engine.Limits{})
	text := rapid.OneOf(
		rapid.SliceOf(rapid.SampledFrom([]byte("aAbB19 .\n"))), // many equal words
		rapid.Map(rapid.SliceOf(rapid.SampledFrom(edgesOfUTF8)), func(parts []string) []byte { return []byte(strings.Join(parts, "")) }),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.SliceOf(rapid.Byte()),
	)
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(text, 0, 3).Draw(t, "texts")
		want := wordCounts(texts...)
		p.gives(t, want, set("text", texts...))
	})
}

func TestSumoccurrenceIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "sumoccurrence", engine.Limits{})
	few := rapid.SampledFrom([]byte("ab"))
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.SliceOfN(few, 1, 6).Draw(t, "pattern")
		logs := rapid.SliceOfN(rapid.SliceOf(few), 0, 3).Draw(t, "logs")
		p.gives(t, occurrences(string(pattern), logs...), set("logs", logs...), set("pattern", pattern))
	})
}

// contents shows sets, shortened.
func contents(sets []data.Set) (shown []string) {
	for _, s := range sets {
		for _, it := range s.Items {
			shown = append(shown, fmt.Sprintf("%s/%s@%d %.200s", s.Name, it.Name(), it.Key(), it.Bytes()))
		}
	}
	return shown
}
