package samples_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/cases"
	"pappus/chericapengine"
	"pappus/data"
	"pappus/engine"
	"pappus/samples"
	"pappus/wasmengine"
)

// workerEnv makes the test binary be the compile process.
const workerEnv = "PAPPUS_TEST_COMPILE_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) == "1" {
		os.Exit(wasmengine.CompileWorker(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Exit))
	}
	goleak.VerifyTestMain(m)
}

// prepared is a sample that is ready to run.
type prepared struct {
	program engine.Program
	sig     engine.Signature
	limits  engine.Limits
}

// prepare makes a sample ready; limits are those in place of its own.
func prepare(t testing.TB, e engine.Engine, sample string, limits engine.Limits) *prepared {
	t.Helper()
	file := sample + ".wasm"
	if e.Name() == chericapengine.Name {
		file = sample + ".elf"
	}
	code, err := fs.ReadFile(samples.Files(), path.Join(sample, file))
	if err != nil {
		t.Fatal(err)
	}
	return prepareCode(t, e, code, limits)
}

func prepareCode(t testing.TB, e engine.Engine, code []byte, limits engine.Limits) *prepared {
	t.Helper()
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
	config.CompileTimeout = 5 * time.Minute // a machine may be slow
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
	dirs, err := fs.Glob(samples.Files(), "*/cases")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	long, short := newEngine(t, wasmengine.Config{}), newEngine(t, wasmengine.Config{Slice: 1009})
	for _, dir := range dirs {
		if _, err := fs.Stat(samples.Files(), path.Join(path.Dir(dir), path.Dir(dir)+".wasm")); err != nil {
			continue // of a composition, which takes a server
		}
		folder, err := fs.Sub(samples.Files(), dir)
		if err != nil {
			t.Fatal(err)
		}
		list, err := cases.ReadAll(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			t.Run(path.Join(dir, c.Name), func(t *testing.T) { runs(t, c, path.Dir(dir), long, short) })
		}
	}
}

// runs runs a case twice on each engine.
func runs(t *testing.T, c *cases.Case, sample string, engines ...engine.Engine) {
	var first *cases.Outcome
	for _, e := range engines {
		p := prepare(t, e, sample, c.Limits)
		if err := c.Fits(p.sig); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			o, err := c.Run(t.Context(), p.program, p.limits)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = o
			}
			if d := c.Differs(o); d != nil {
				t.Error(d)
			}
			if d := cases.Same(o, first); d != nil {
				t.Errorf("not as before: %s", d)
			}
		}
	}
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

// What is counted in parts and merged is what is counted at once.
func TestWordmergeIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "wordmerge", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.SliceOf(rapid.SampledFrom([]byte("aAbcB19 .\n"))), 0, 5).Draw(t, "texts")
		counts := make([][]byte, len(texts))
		for i, text := range texts {
			counts[i] = wordCounts(text)
		}
		p.gives(t, wordCounts(texts...), set("counts", counts...))
	})
}

func TestSumIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "sum", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		sum, texts := uint64(0), [][]byte{}
		for _, n := range rapid.SliceOfN(rapid.Uint64Max(1<<60), 0, 8).Draw(t, "numbers") {
			sum += n
			texts = append(texts, fmt.Appendf(nil, " %d\n", n))
		}
		p.gives(t, fmt.Appendf(nil, "%d\n", sum), set("numbers", texts...))
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
