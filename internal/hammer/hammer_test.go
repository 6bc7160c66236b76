package hammer_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/wasmengine"
	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Many goroutines call many functions, of which a few fit into memory at once,
// while calls are cancelled and time out, functions trap, loop, are registered
// again and deleted. Every success is right, nothing but what was asked for
// fails, and in the end there is as much memory as before.
func TestHammer(t *testing.T) {
	const short = "8x40"
	size := os.Getenv("PAPPUS_HAMMER")
	if size == "" {
		size = short
	}
	hammerRound(t, short) // what is made once is made now
	before := residentNow(t)
	began := time.Now()
	hammerRound(t, size)
	took := time.Since(began)
	after := residentNow(t)
	t.Logf("%s in %s; before: %s; after: %s", size, took.Round(time.Millisecond), before, after)
	if after.code > before.code {
		t.Errorf("%d bytes of code were mapped before, and %d after", before.code, after.code)
	}
	if after.heap > before.heap+(8<<20) {
		t.Errorf("the heap held %d bytes before, and %d after", before.heap, after.heap)
	}
}

// resident is what the process holds, in bytes.
type resident struct {
	heap int64 // of Go's objects
	code int64 // mapped executable from no file: what modules were compiled to
	all  int64 // resident set
}

func (r resident) String() string {
	return fmt.Sprintf("heap %d KiB, code %d KiB, resident %d KiB", r.heap>>10, r.code>>10, r.all>>10)
}

func residentNow(t *testing.T) resident {
	t.Helper()
	for range 4 { // what finalizers let go is found by the next one
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r := resident{heap: int64(m.HeapAlloc)}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(maps))
	for lines.Scan() {
		// from-to flags offset device inode [file]
		f := strings.Fields(lines.Text())
		if len(f) != 5 || !strings.Contains(f[1], "x") {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		a, errA := strconv.ParseUint(from, 16, 64)
		b, errB := strconv.ParseUint(to, 16, 64)
		if errA != nil || errB != nil {
			t.Fatalf("/proc/self/maps: %s", lines.Text())
		}
		r.code += int64(b - a)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var total, pages int64
	if _, err := fmt.Sscan(string(statm), &total, &pages); err != nil {
		t.Fatal(err)
	}
	r.all = pages * int64(os.Getpagesize())
	return r
}

// hammer is one round's platform and what its functions must do.
type hammer struct {
	t      *testing.T
	reg    *registry.Registry
	disp   *dispatcher.Dispatcher
	base   map[string][]byte
	expect sync.Map // behaviour by the digest of the code

	ok, faults, missing, deleted, published atomic.Int64
}

// behaviour is what must come of calling a function.
type behaviour struct {
	in   data.Set
	echo bool             // the input comes back
	out  []byte           // content of the only output item, otherwise
	end  engine.FaultKind // or the fault that must come
}

func hammerRound(t *testing.T, size string) {
	var goroutines, functions int
	if _, err := fmt.Sscanf(size, "%dx%d", &goroutines, &functions); err != nil || goroutines < 1 || functions < 1 {
		t.Fatalf("PAPPUS_HAMMER is %q and not like 64x1000, goroutines and functions", size)
	}
	reg, err := registry.Open(t.TempDir(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wasmEngine, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	disp, err := dispatcher.New(dispatcher.Config{
		QueueTimeout:   time.Minute,
		ProgramBytes:   int64(max(3, functions/20)) * (200 << 10), // a few of the functions
		CompileWaiting: goroutines,
	}, reg, []engine.Engine{wasmEngine}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	h := &hammer{t: t, reg: reg, disp: disp, base: map[string][]byte{}}
	for _, name := range []string{"echo-grow", "unreachable-nested", "loop", "exit-7-return"} {
		h.base[name] = read(t, "../../wasmengine/testdata/hostile/"+name+".wasm")
	}
	h.base["wordcount"] = read(t, "../../samples/wordcount/wordcount.wasm")
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() { // the first ones to come register them
			for i := g; i < functions; i += goroutines {
				h.publish(i)
			}
		})
	}
	all.Wait()
	for range goroutines {
		all.Go(func() {
			for k := 0; k < functions && !t.Failed(); k++ {
				h.step(functions)
			}
		})
	}
	all.Wait()
	if residentNow(t).code == 0 {
		t.Error("programs are loaded, and none of their code is seen: what is measured?")
	}
	if err := disp.Close(t.Context()); err != nil {
		t.Error(err)
	}
	stats := wasmEngine.Stats()
	if err := errors.Join(wasmEngine.Close(), reg.Close()); err != nil {
		t.Error(err)
	}
	if s := wasmEngine.Stats().Domain; s.Mapped != 0 || stats.IdleInstances != 0 || stats.IdleBytes != 0 {
		t.Errorf("contexts are lost: %+v, %+v before", s, stats)
	}
	if logged.Len() > 0 {
		t.Errorf("the log:\n%s", &logged)
	}
	t.Logf("%s: %d successes, %d faults, %d times no such version, %d publications, %d deletions; %d instances made, %d reset",
		size, h.ok.Load(), h.faults.Load(), h.missing.Load(), h.published.Load(), h.deleted.Load(), stats.Created, stats.Reused)
	if h.ok.Load() == 0 || h.faults.Load() == 0 {
		t.Error("the hammer hit nothing")
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// step does one thing to one of the functions, mostly calling it.
func (h *hammer) step(functions int) {
	i := rand.IntN(functions)
	if rand.IntN(2) == 0 {
		i = rand.IntN(functions/8 + 1) // some are called more than others
	}
	switch rand.IntN(50) {
	case 0:
		h.publish(i)
	case 1:
		h.deleted.Add(1)
		err := h.reg.Delete(h.t.Context(), registry.DefaultTenant, registry.Ref{Name: nameOf(i)}, registry.Change{})
		if err != nil && !isMissing(err) {
			h.t.Errorf("delete %s: %v", nameOf(i), err)
		}
		h.publish(i)
	default:
		h.call(i)
	}
}

func nameOf(i int) string { return "h" + strconv.Itoa(i) }

func isMissing(err error) bool {
	var missing *registry.NotFoundError
	return errors.As(err, &missing)
}

// publish registers a new version of function i.
func (h *hammer) publish(i int) {
	salt := rand.Uint64()
	text := data.Set{Name: "text", Items: []*data.Item{data.NewItem("t", 0, []byte("to be or not to be"))}}
	pub := dispatcher.Publication{Tenant: registry.DefaultTenant, Name: nameOf(i), Limits: engine.Limits{Memory: 4 << 20}}
	var b behaviour
	switch i % 10 {
	case 4, 5:
		pub.Code, b.echo = salted(h.base["echo-grow"], salt), true
	case 6:
		pub.Code, b = salted(h.base["wordcount"], salt), behaviour{in: text, out: []byte("be 2\nto 2\nnot 1\nor 1\n")}
	case 7:
		pub.Code, b.end = salted(h.base["unreachable-nested"], salt), engine.FaultTrap
	case 8:
		pub.Code, b.end = salted(h.base["loop"], salt), engine.FaultDeadline
		pub.Limits.Timeout = engine.Duration(5 * time.Millisecond)
	case 9:
		pub.Code, b.end = salted(h.base["exit-7-return"], salt), engine.FaultExit
	default:
		pub.Code, b.out = numbered(int32(salt), i%2 == 0)
	}
	h.expect.Store(data.Sum(pub.Code), b)
	if _, _, err := h.disp.Publish(h.t.Context(), pub); err != nil {
		h.t.Errorf("publish %s: %v", pub.Name, err)
	}
	h.published.Add(1)
}

// salted is code with a custom section that makes it other code.
func salted(code []byte, salt uint64) []byte {
	section := binary.LittleEndian.AppendUint64([]byte("\x04salt"), salt)
	return append(append(bytes.Clone(code), 0, byte(len(section))), section...)
}

// numbered is a function that counts its calls, in a global and in memory, and
// gives both counts, which are 1 in a fresh isolate, its number, and what its
// initialisation wrote.
func numbered(number int32, initializes bool) (code, out []byte) {
	const system, sets, record, cell = 1024, 1100, 1140, 1200
	b := binarytest.New().Pages(1, 4)
	count := b.Global(wasm.I32, true, wasm.OpI32Const, binarytest.S(0))
	store := func(at int, value ...any) []byte {
		return append(binarytest.Code(wasm.OpI32Const, binarytest.S(at)), append(binarytest.Code(value...), binarytest.Code(wasm.Op(0x36), 2, 0)...)...)
	}
	put := func(at, value int) []byte { return store(at, wasm.OpI32Const, binarytest.S(value)) }
	one := []any{wasm.OpI32Const, binarytest.S(1), wasm.OpI32Add}
	b.ExportFunc("_start", b.Type(nil, nil), nil,
		binarytest.Code(append(append([]any{wasm.OpGlobalGet, count}, one...), wasm.OpGlobalSet, count)...),
		store(cell, wasm.OpGlobalGet, count),
		store(cell+4, append([]any{wasm.OpI32Const, binarytest.S(cell + 4), wasm.Op(0x28), 2, 0}, one...)...), // i32.load
		put(cell+8, int(number)),
		put(system, 0), put(system+20, 1), put(system+24, sets), put(system+32, record),
		put(sets+8, 0), put(sets+20, 1),
		put(record+4, 0), put(record+8, cell), put(record+12, 16), put(record+16, 0))
	written := uint32(0)
	if initializes {
		written = 5
		b.ExportFunc("_initialize", b.Type(nil, nil), nil, put(cell+12, int(written)))
	}
	b.ExportAs("__dandelion_system_data", wasm.ExternGlobal, b.Global(wasm.I32, false, wasm.OpI32Const, binarytest.S(system)))
	for _, v := range []uint32{1, 1, uint32(number), written} {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return b.Encode(), out
}

// call calls function i, in its newest version, and checks what comes. Some
// callers leave, and some have no time.
func (h *hammer) call(i int) {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	v, err := h.disp.Resolve(ctx, registry.DefaultTenant, registry.Ref{Name: nameOf(i)})
	if err != nil {
		if h.missing.Add(1); !isMissing(err) {
			h.t.Errorf("resolve %s: %v", nameOf(i), err)
		}
		return
	}
	leaves := false
	moment := time.Duration(rand.Int64N(int64(3 * time.Millisecond)))
	switch rand.IntN(8) {
	case 0:
		leaves = true
		defer time.AfterFunc(moment, cancel).Stop()
	case 1:
		leaves = true
		ctx, cancel = context.WithTimeout(ctx, moment)
		defer cancel()
	}
	known, ok := h.expect.Load(v.Code[wasmengine.Name].Digest)
	if !ok {
		h.t.Errorf("%s is code that nobody has published", nameOf(i))
		return
	}
	b, _ := known.(behaviour)
	in := b.in
	if b.echo {
		in = data.Set{Name: "any"}
		for k := range rand.IntN(4) {
			in.Items = append(in.Items, data.NewItem(strconv.Itoa(k), uint32(k), bytes.Repeat([]byte{byte(rand.Uint32())}, rand.IntN(100_000))))
		}
	}
	a, err := h.disp.Invoke(ctx, dispatcher.Invocation{Tenant: registry.DefaultTenant, Target: v, Inputs: []data.Set{in}})
	if err != nil {
		h.failed(i, b, leaves, err)
		return
	}
	defer a.Release()
	h.ok.Add(1)
	right := b.end == "" && len(a.Outputs) == 1
	switch {
	case !right:
	case b.echo:
		right = data.Equal(a.Outputs, []data.Set{{Name: a.Outputs[0].Name, Items: in.Items}})
	default:
		right = len(a.Outputs[0].Items) == 1 && bytes.Equal(a.Outputs[0].Items[0].Bytes(), b.out)
	}
	if !right {
		h.t.Errorf("%s gave %v", nameOf(i), a.Outputs)
	}
}

// failed checks that a call may have failed as it did.
func (h *hammer) failed(i int, b behaviour, leaves bool, err error) {
	kind := engine.KindOf(err)
	switch {
	case kind == b.end && kind != "", leaves && (kind == engine.FaultCanceled || kind == engine.FaultDeadline):
		h.faults.Add(1)
	case isMissing(err): // it was deleted after it was found
		h.missing.Add(1)
	default:
		h.t.Errorf("%s ended with %v", nameOf(i), err)
	}
}
