package c_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "build testdata/exercise.wasm instead of checking it")

// build compiles a function with the command of README.md, or skips the test
// where its tools are missing.
func build(t *testing.T, source, out string) {
	t.Helper()
	for _, tool := range []string{"clang-14", "wasm-ld-14"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends clang lld", tool)
		}
	}
	runtime, err := filepath.Glob("src/*.c")
	if err != nil || len(runtime) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	args := []string{"--target=wasm32", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-nostdlib", "-Iinclude",
		"-Wl,--stack-first,-z,stack-size=32768", "-o", out, source}
	if log, err := exec.CommandContext(t.Context(), "clang-14", append(args, runtime...)...).CombinedOutput(); err != nil {
		t.Fatalf("clang-14: %v\n%s", err, log)
	}
}

const exercise = "testdata/exercise.wasm"

// TestRebuild holds the checked-in module to its sources.
func TestRebuild(t *testing.T) {
	built := filepath.Join(t.TempDir(), "exercise.wasm")
	build(t, "testdata/exercise.c", built)
	code := read(t, built)
	if *update {
		if err := os.WriteFile(exercise, code, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(code, read(t, exercise)) {
		t.Error("exercise.wasm is not what its sources give; run go test ./sdk/c -update")
	}
}

// TestReadme builds and runs the function that README.md shows.
func TestReadme(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```c\n(.*?)```").FindSubmatch(read(t, "README.md"))
	if blocks == nil {
		t.Fatal("no C in README.md")
	}
	dir := t.TempDir()
	source, out := filepath.Join(dir, "upper.c"), filepath.Join(dir, "upper.wasm")
	if err := os.WriteFile(source, blocks[1], 0o644); err != nil {
		t.Fatal(err)
	}
	build(t, source, out)
	result, err := prepare(t, read(t, out), engine.Limits{}).run(data.Set{Name: "text", Items: []*data.Item{
		data.NewItem("a", 7, []byte("to be, or not")), data.NewItem("b", 8, nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	want := []data.Set{{Name: "upper", Items: []*data.Item{data.NewItem("a", 7, []byte("TO BE, OR NOT")), data.NewItem("b", 8, nil)}}}
	if !data.Equal(result.Outputs, want) {
		t.Errorf("outputs %v", result.Outputs)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// function is a program that is ready to run.
type function struct {
	t       testing.TB
	program engine.Program
	limits  engine.Limits
}

func prepare(t testing.TB, code []byte, limits engine.Limits) *function {
	t.Helper()
	e, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, limits: limits.Or(engine.DefaultLimits())}
	if f.program, err = e.Prepare(t.Context(), code, insp.Manifest.Signature(), f.limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.program.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *function) run(inputs ...data.Set) (engine.Result, error) {
	return f.program.Run(f.t.Context(), inputs, f.limits)
}

// What exercise.c can do; a, b and c of a step are in brackets.
const (
	stepAlloc     = iota // [slot, size, alignment]
	stepFree             // [slot]
	stepFreeAgain        // [slot] twice
	stepOverrun          // [slot, bytes] writes behind the block, then frees it
	stepSbrk             // [slot, size]
	stepCopy             // [to, from, n]
	stepMove             // [to, from, n]
	stepSet              // [to, value, n]
	stepCompare          // [left, right, n]
	stepLength           // [at]
	stepPut              // [set]
	stepExit             // [code]
)

const (
	slots     = 32
	arenaSize = 4096
)

type step struct{ What, A, B, C uint32 }

// steps runs exercise.c and returns what it observed and its arena.
func (f *function) steps(list ...step) (observed []int32, arena []byte, err error) {
	var script bytes.Buffer
	if err := binary.Write(&script, binary.LittleEndian, list); err != nil {
		return nil, nil, err
	}
	result, err := f.run(data.Set{Name: "steps", Items: []*data.Item{data.NewItem("steps", 0, script.Bytes())}})
	if err != nil {
		return nil, nil, err
	}
	defer result.Release()
	for _, set := range result.Outputs {
		for _, it := range set.Items {
			switch it.Name() {
			case "arena":
				arena = bytes.Clone(it.Bytes())
			case "observed":
				observed = make([]int32, it.Len()/4)
				if err := binary.Read(bytes.NewReader(it.Bytes()), binary.LittleEndian, observed); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	return observed, arena, nil
}

// TestRuntime does random things to heap and memory. The function checks that
// no block's bytes change; here the rest is compared with what Go does.
func TestRuntime(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		var list []step
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			list = append(list, m.step(t))
		}
		observed, arena, err := f.steps(list...)
		if err != nil {
			t.Fatal(err)
		}
		if len(observed) != len(m.observed) {
			t.Fatalf("%d observations instead of %d", len(observed), len(m.observed))
		}
		for i, want := range m.observed {
			if observed[i] != want {
				t.Fatalf("observation %d is %d instead of %d", i, observed[i], want)
			}
		}
		if !bytes.Equal(arena, m.arena) {
			t.Fatal("the memory functions left other bytes")
		}
	})
}

// model is what the steps must do.
type model struct {
	arena    []byte
	used     [slots]int // what a slot holds: nothing, a block, or bytes for good
	puts     [2]int32
	observed []int32
}

const (
	empty = iota
	block
	forGood
)

func newModel() *model {
	m := &model{arena: make([]byte, arenaSize)}
	for i := range m.arena {
		m.arena[i] = byte(i % 251)
	}
	return m
}

// step draws the next step and does it to the model.
func (m *model) step(t *rapid.T) step {
	slot := rapid.Uint32Range(0, slots-1).Draw(t, "slot")
	switch what := rapid.Uint32Range(0, 9).Draw(t, "what"); {
	case what < 4:
		return m.heapStep(t, slot)
	case what == 4:
		set := rapid.Uint32Range(0, 1).Draw(t, "set")
		m.puts[set]++
		m.observe(m.puts[set])
		return step{What: stepPut, A: set}
	default:
		return m.arenaStep(t)
	}
}

func (m *model) observe(v int32) { m.observed = append(m.observed, v) }

func (m *model) heapStep(t *rapid.T, slot uint32) step {
	switch m.used[slot] {
	case block:
		m.used[slot] = empty
		m.observe(1)
		return step{What: stepFree, A: slot}
	case forGood:
		return m.arenaStep(t)
	}
	size := rapid.OneOf(rapid.Uint32Range(0, 100), rapid.Uint32Range(0, 200_000)).Draw(t, "size")
	if rapid.IntRange(0, 9).Draw(t, "sbrk") == 0 {
		m.used[slot] = forGood
		m.observe(0)
		return step{What: stepSbrk, A: slot, B: size}
	}
	alignment := rapid.SampledFrom([]uint32{0, 1, 2, 8, 16, 32, 128, 4096, 65536, 3, 24}).Draw(t, "alignment")
	if alignment&(alignment-1) != 0 {
		m.observe(-1)
	} else {
		m.used[slot] = block
		m.observe(0)
	}
	return step{stepAlloc, slot, size, alignment}
}

func (m *model) arenaStep(t *rapid.T) step {
	at := rapid.Uint32Range(0, arenaSize)
	a, b := at.Draw(t, "a"), at.Draw(t, "b")
	if rapid.Bool().Draw(t, "near") {
		b = min(arenaSize, a+rapid.Uint32Range(0, 40).Draw(t, "distance"))
	}
	n := rapid.Uint32Range(0, min(arenaSize-a, arenaSize-b)).Draw(t, "n")
	switch rapid.IntRange(0, 4).Draw(t, "function") {
	case 0:
		n = min(n, max(a, b)-min(a, b)) // they may not overlap
		copy(m.arena[a:a+n], m.arena[b:b+n])
		return step{stepCopy, a, b, n}
	case 1:
		copy(m.arena[a:a+n], m.arena[b:b+n])
		return step{stepMove, a, b, n}
	case 2:
		copy(m.arena[a:a+n], bytes.Repeat([]byte{byte(b)}, int(n)))
		return step{stepSet, a, b, n}
	case 3:
		m.observe(int32(bytes.Compare(m.arena[a:a+n], m.arena[b:b+n])))
		return step{stepCompare, a, b, n}
	default:
		end := bytes.IndexByte(m.arena[min(a, arenaSize-1):], 0)
		if end < 0 {
			return step{stepSet, 0, 0, 0}
		}
		m.observe(int32(end))
		return step{What: stepLength, A: min(a, arenaSize-1)}
	}
}

// TestHeapIsUsedAgain allocates far more than there is memory, but little at a
// time.
func TestHeapIsUsedAgain(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 4 << 20})
	var list []step
	for i := range uint32(2000) {
		list = append(list, step{stepAlloc, i % 4, 1000 + i*97%300_000, 64}, step{What: stepFree, A: i % 4})
	}
	observed, _, err := f.steps(list...)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range observed {
		if v != int32(i%2) {
			t.Fatalf("observation %d is %d", i, v)
		}
	}
}

func TestHugeRequestsAreRefused(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 4 << 20})
	var list []step
	for _, size := range []uint32{4 << 20, 1 << 31, 1<<32 - 1<<16, 1<<32 - 64, 1<<32 - 17, 1<<32 - 1} {
		for _, alignment := range []uint32{1, 4096, 1 << 31} {
			list = append(list, step{stepAlloc, 0, size, alignment})
		}
		list = append(list, step{What: stepSbrk, A: 0, B: size})
	}
	list = append(list, step{stepAlloc, 0, 100, 1 << 31})
	observed, _, err := f.steps(list...)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range observed {
		if v != -1 {
			t.Errorf("step %+v was not refused", list[i])
		}
	}
}

func TestEnds(t *testing.T) {
	puts := []step{{What: stepPut, A: 0}, {What: stepPut, A: 1}} // so that the end needs memory for both sets
	for _, c := range []struct {
		name  string
		steps []step
		kind  engine.FaultKind
		code  int32
	}{
		{"exit 3", []step{{What: stepExit, A: 3}}, engine.FaultExit, 3},
		{"free of a free block", []step{{stepAlloc, 0, 40, 8}, {What: stepFreeAgain, A: 0}}, engine.FaultExit, 258},
		{"free of what is no block", []step{{What: stepSbrk, A: 0, B: 64}, {What: stepFree, A: 0}}, engine.FaultExit, 258},
		{"written behind a block", []step{{stepAlloc, 0, 40, 8}, {stepAlloc, 1, 40, 8}, {What: stepOverrun, A: 0, B: 16}}, engine.FaultExit, 257},
		{"written far behind a block", []step{{stepAlloc, 0, 40, 8}, {stepAlloc, 1, 40, 8}, {What: stepFree, A: 1}, {What: stepOverrun, A: 0, B: 400}}, engine.FaultExit, 257},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := prepare(t, read(t, exercise), engine.Limits{})
			for _, steps := range [][]step{c.steps, append(puts, c.steps...)} {
				_, _, err := f.steps(steps...)
				var fault *engine.Fault
				if !errors.As(err, &fault) || fault.Kind != c.kind || fault.ExitCode != c.code {
					t.Errorf("error %v instead of %s %d", err, c.kind, c.code)
				}
			}
		})
	}
}

// TestOutputsNeedMemory lets the memory run out while outputs are added.
func TestOutputsNeedMemory(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 1 << 20})
	list := make([]step, 30_000)
	for i := range list {
		list[i] = step{What: stepPut, A: uint32(i % 2)}
	}
	_, _, err := f.steps(list...)
	if engine.KindOf(err) != engine.FaultOutOfMemory || strings.Contains(err.Error(), "trap") {
		t.Errorf("error %v", err)
	}
}
