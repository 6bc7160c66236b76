package wasmengine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/report"
)

func samples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../samples/*/*.wasm")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d samples (%v)", len(files), err)
	}
	modules := map[string][]byte{}
	for _, f := range files {
		if modules[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return modules
}

// registered says what registration says of a module: nil, or why not.
func registered(t testing.TB, e *Engine, code []byte, lim engine.Limits) error {
	insp, err := e.Inspect(code)
	if err != nil {
		return err
	}
	lim = lim.Or(insp.Manifest.Limits).Or(engine.DefaultLimits())
	for refused := range insp.Refusals(lim, engine.MaxLimits()) {
		return refused
	}
	p, err := e.Prepare(t.Context(), code, insp.Manifest.Signature(), lim)
	if err != nil {
		return err
	}
	return p.Close()
}

// failer is what tests and properties have in common.
type failer interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

// agree holds a report to what registration says of the same module.
func agree(t failer, tt testing.TB, e *Engine, code []byte, lim engine.Limits) *Report {
	t.Helper()
	want := registered(tt, e, code, lim)
	r, err := e.Report(tt.Context(), code, ReportOptions{Limits: lim})
	if err != nil {
		t.Fatalf("no report: %v", err)
	}
	var refused *engine.RejectedError
	switch {
	case want == nil && len(r.Refusals) > 0:
		t.Errorf("it is registered, but the report refuses it: %v", r.Refusals)
	case want == nil:
		if !r.Compiled || !r.Initialized || r.Measured == nil || !r.Measured.Called {
			t.Errorf("it was not tried: %+v", r)
		}
	case !errors.As(want, &refused):
		t.Fatalf("registration fails with %v", want)
	case len(r.Refusals) == 0:
		t.Errorf("registration says %v, the report nothing", want)
	case !reflect.DeepEqual([]string{r.Refusals[0].Reason, r.Refusals[0].Hint}, []string{refused.Reason, refused.Hint}) || r.Refusals[0].Costly != refused.Costly:
		t.Errorf("registration says %v, the report first %v", want, r.Refusals[0])
	}
	for i, x := range r.Refusals {
		if x.Reason == "" || x.Hint == "" {
			t.Errorf("reason %d says not what to do: %+v", i, x)
		}
		for _, y := range r.Refusals[:i] {
			if x.Reason == y.Reason {
				t.Errorf("a reason is told twice: %s", x.Reason)
			}
		}
	}
	return r
}

// What a report refuses, registration refuses, for the same reason, and nothing
// else.
func TestReportAgreesWithRegistration(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	for _, c := range hostileCases(t) {
		t.Run(c.name, func(t *testing.T) {
			lim := engine.Limits{Fuel: 5_000_000, Timeout: engine.Duration(5 * time.Minute)} // they are tried, and some never end
			r := agree(t, t, e, c.code, lim)
			if c.allows("rejected-module") && len(c.expect) == 1 && len(r.Refusals) == 0 {
				t.Errorf("it is not refused")
			}
			if lim.Memory = engine.PageSize; !strings.HasPrefix(c.name, "initialise-") { // whose fuel has no such limit
				agree(t, t, e, c.code, lim)
			}
			agree(t, t, e, c.code[:len(c.code)/2], engine.Limits{})
		})
	}
	for name, code := range samples(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if r := agree(t, t, e, code, engine.Limits{}); len(r.Refusals) > 0 {
				t.Errorf("a sample is refused")
			}
			agree(t, t, e, code, engine.Limits{Stack: 64 << 20})
		})
	}
	for _, b := range binarytest.Bombs(10_000) {
		t.Run(b.Name, func(t *testing.T) { agree(t, t, e, b.Code, engine.Limits{}) })
	}
}

// randomFunction draws a module that may keep to the binary interface or not.
func randomFunction(t *rapid.T) []byte {
	code := binarytest.Random(t)
	decoded, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	b := &binarytest.Builder{Module: *decoded}
	rarely := func(what string) bool { return rapid.IntRange(0, 19).Draw(t, what) == 19 }
	if rarely("memory is not exported") {
		b.Exports = b.Exports[1:]
	}
	typ := b.Type(nil, nil)
	if rarely("start has a result") {
		typ = b.Type(nil, binarytest.Types(binary.I32))
	}
	if !rarely("no start") {
		value := []any{binary.OpI32Const, binarytest.S(1024), binary.OpI32Const, binarytest.S(0), binary.Op(0x36), 2, 0}
		if len(b.Types[typ].Results) > 0 {
			value = append(value, binary.OpI32Const, binarytest.S(0))
		}
		if rarely("it does not validate") {
			value = append(value, binary.OpI32Const, binarytest.S(0))
		}
		b.ExportFunc("_start", typ, nil, value...)
	}
	if !rarely("no system struct") {
		address := rapid.SampledFrom([]int{1024, 1024, 1024, 1024, 65_530}).Draw(t, "system struct")
		b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, rarely("mutable"), binary.OpI32Const, binarytest.S(address)))
	}
	if rarely("heap") {
		b.ExportAs("__heap_base", binary.ExternGlobal, b.Global(binary.I64, false, binary.OpI64Const, binarytest.S(0)))
	}
	if rarely("data outside") {
		b.Bytes(65_530, []byte("and beyond"))
	}
	if rarely("elements outside") {
		b.Funcs(4, 0)
	}
	if rarely("initialise") {
		b.ExportFunc("_initialize", b.Type(nil, nil), nil, binary.OpUnreachable)
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "manifests") {
		b.Customs = append(b.Customs, binary.Custom{Name: manifestSection, Payload: []byte(rapid.SampledFrom([]string{
			`{}`, `{"layout":"grow"}`, `{"layout":"fixed"}`, `{"layout":"none"}`, `{"memo":1}`, `{"limits":{"stack":"1GiB","timeout":"1h"}}`, `{"limits":{"memory":"1"}}`,
		}).Draw(t, "manifest"))})
	}
	return b.Encode()
}

func TestReportAgreesOnRandomModules(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	refused, accepted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if len(agree(rt, t, e, randomFunction(rt), engine.Limits{}).Refusals) > 0 {
			refused++
		} else {
			accepted++
		}
	})
	t.Logf("%d were refused, %d accepted", refused, accepted)
	if refused == 0 || accepted == 0 {
		t.Errorf("%d modules were refused, %d accepted", refused, accepted)
	}
}

// All reasons are told, and none of them twice.
func TestReportTellsAllReasons(t *testing.T) {
	e := newEngine(t, Config{})
	b := binarytest.New()
	b.ImportFunc("env", "one", b.Type(nil, nil))
	b.ImportFunc("wasi_snapshot_preview1", "two", b.Type(nil, nil))
	b.Memory = &binary.Memory{Min: 300}
	b.Bytes(300*engine.PageSize-1, []byte("two"))
	b.Bytes(300*engine.PageSize, []byte("three"))
	b.Func(b.Type(nil, nil), nil)
	b.Customs = []binary.Custom{{Name: manifestSection, Payload: []byte(`{"limits":{"memory":"1MiB","stack":"1GiB","timeout":"1h"}}`)}}
	r := agree(t, t, e, b.Encode(), engine.Limits{})
	want := 1 + 1 + 2 + 1 + 1 + 2 + 1 // imports, memory, data, _start, system struct, limits, initial memory
	if len(r.Refusals) != want || len(r.Refusals[0].Imports) != 2 {
		t.Errorf("%d reasons, want %d:", len(r.Refusals), want)
		for _, x := range r.Refusals {
			t.Log(x)
		}
	}
	// A module that ends early shows what came before.
	if r = agree(t, t, e, b.Encode()[:60], engine.Limits{}); !r.Broken || len(r.Refusals) != 2 || len(r.Imports) != 2 {
		t.Errorf("broken: %v", r.Refusals)
	}
}

// A text names so many imports, and says if there are more; the list has them all.
func TestManyImportsAreCut(t *testing.T) {
	e := newEngine(t, Config{})
	for _, n := range []int{20, 21} {
		b := binarytest.New()
		for i := range n {
			b.ImportFunc("env", fmt.Sprintf("f%d", i), b.Type(nil, nil))
		}
		_, err := e.Inspect(b.Encode())
		var refused *engine.RejectedError
		if !errors.As(err, &refused) || len(refused.Imports) != n || slices.Contains(refused.Imports, "…") || strings.HasSuffix(refused.Reason, "env.f19, …)") != (n > 20) {
			t.Errorf("%d imports: %v", n, err)
		}
	}
}

func reportOnModule(t failer, tt testing.TB, e *Engine, code []byte, opts ReportOptions) *Report {
	t.Helper()
	r, err := e.Report(tt.Context(), code, opts)
	if err != nil || len(r.Refusals) > 0 {
		t.Fatalf("%v, %v", err, r)
	}
	return r
}

// exits leaves the exit code 0.
var exits = []any{binary.OpI32Const, binarytest.S(1024), binary.OpI32Const, binarytest.S(0), binary.Op(0x36), 2, 0}

// randomCalls draws a module whose functions call each other, without
// recursion, on every way that they take.
func randomCalls(t *rapid.T) []byte {
	b := binarytest.New().Pages(1, 16)
	b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(1024)))
	typ := b.Type(nil, nil)
	n := rapid.IntRange(1, 8).Draw(t, "functions")
	for i := range n { // a function calls those before it
		var code []any
		if i == n-1 {
			code = append(code, exits...)
		}
		for range rapid.IntRange(0, 2).Draw(t, "calls") {
			if i > 0 {
				code = append(code, binary.OpCall, rapid.IntRange(0, i-1).Draw(t, "callee"))
			}
		}
		height := rapid.IntRange(0, 20).Draw(t, "height")
		for range height {
			code = append(code, binary.OpI32Const, binarytest.S(1))
		}
		for range height {
			code = append(code, binary.OpDrop)
		}
		if i > 0 && rapid.Bool().Draw(t, "tail") {
			code = append(code, binary.OpReturnCall, rapid.IntRange(0, i-1).Draw(t, "callee"))
		}
		b.Func(typ, make(binary.ValueTypes, 0), code...)
		b.Bodies[i].Raw = append(append([]byte{1, byte(rapid.IntRange(0, 100).Draw(t, "locals")), byte(binary.I64)}, b.Bodies[i].Raw[1:]...), []byte(nil)...)
	}
	b.ExportAs("_start", binary.ExternFunc, n-1)
	return b.Encode()
}

// Without recursion the estimate of the stack is what the calls take: with a
// byte less they run out of it.
func TestStackEstimateIsExact(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	rapid.Check(t, func(rt *rapid.T) {
		code := randomCalls(rt)
		r := reportOnModule(rt, t, e, code, ReportOptions{NoRun: true})
		if len(r.Stacks) != 1 || r.Stacks[0].Bound != report.StackExact || len(r.Stacks[0].Chain) != r.Stacks[0].Depth {
			rt.Fatalf("stacks %+v", r.Stacks)
		}
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		if err != nil {
			rt.Fatal(err)
		}
		defer p.Close()
		lim := enginetest.Limits()
		for _, c := range []struct {
			stack int64
			want  engine.FaultKind
		}{{r.Stacks[0].Bytes, ""}, {r.Stacks[0].Bytes - 1, engine.FaultOutOfStack}} {
			lim.Stack = engine.Bytes(c.stack)
			result, err := p.Run(t.Context(), nil, lim)
			if kind := engine.KindOf(err); kind != c.want || (err != nil) != (c.want != "") {
				rt.Errorf("with %d bytes of stack: %v; estimated are %+v", c.stack, err, r.Stacks[0])
			}
			result.Release()
		}
	})
}

// A function without branches uses the fuel that is estimated.
func TestFuelEstimateIsExact(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	rapid.Check(t, func(rt *rapid.T) {
		b := binarytest.New().Pages(1, 16)
		b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(1024)))
		code := append([]any(nil), exits...)
		for range rapid.IntRange(0, 50).Draw(rt, "statements") {
			switch rapid.IntRange(0, 4).Draw(rt, "statement") {
			case 0:
				code = append(code, binary.OpI32Const, binarytest.S(7), binary.OpI32Const, binarytest.S(3), binary.OpI32DivS, binary.OpDrop)
			case 1:
				code = append(code, binary.OpF64Const, 2.0, binary.OpF64Sqrt, binary.OpDrop)
			case 2:
				code = append(code, binary.OpBlock, binarytest.Void, binary.OpNop, binary.OpEnd)
			case 3:
				code = append(code, binary.OpI64Const, binarytest.S(7), binary.OpI64Const, binarytest.S(3), binary.OpI64Mul, binary.OpDrop)
			case 4:
				code = append(code, binary.OpI32Const, binarytest.S(0), binary.OpMemoryGrow, byte(0), binary.OpDrop)
			}
		}
		b.ExportFunc("_start", b.Type(nil, nil), nil, code...)
		r := reportOnModule(rt, t, e, b.Encode(), ReportOptions{})
		if used := r.Measured.Usage.Fuel; r.Measured.Fault != nil || used != r.Functions[0].Fuel {
			rt.Errorf("it used %d, estimated are %d (%v)", used, r.Functions[0].Fuel, r.Measured.Fault)
		}
	})
}

// What is measured is what a call uses, within bounds of its own, and nothing
// runs if that is not wanted.
func TestReportMeasures(t *testing.T) {
	e := newEngine(t, Config{})
	r := reportOnModule(t, t, e, hostile(t, "loop"), ReportOptions{Limits: engine.Limits{Fuel: 1000}})
	if r.Measured.Fault == nil || r.Measured.Fault.Kind != engine.FaultOutOfFuel || r.Measured.Usage.Fuel < 1000 {
		t.Errorf("a loop with 1,000 units of fuel: %+v", r.Measured)
	}
	r = reportOnModule(t, t, e, hostile(t, "loop"), ReportOptions{})
	if r.Measured.Fault == nil || r.Measured.Limits.Fuel != triedFuel || time.Duration(r.Measured.Limits.Timeout) != triedTime {
		t.Errorf("a loop: %+v", r.Measured)
	}
	r = reportOnModule(t, t, e, hostile(t, "initialise"), ReportOptions{})
	if r.Measured.InitFuel == 0 || !r.Initialized || !r.Image {
		t.Errorf("a module that initialises: %+v", r.Measured)
	}
	r = reportOnModule(t, t, e, hostile(t, "initialise-trap"), ReportOptions{NoRun: true})
	if r.Measured != nil || r.Initialized || !r.Compiled || r.MaxStack == 0 {
		t.Errorf("a module that is not run: %+v", r)
	}
	if created := e.Stats().Created; created == 0 {
		t.Error("nothing ran at all")
	}
}

// What a module needs to be compiled in a child process is what the report
// says of its functions.
func TestReportTellsTheClass(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	small := binarytest.Body(0, binarytest.LoopBlock())
	large := binarytest.Body(0, make([]byte, 0))
	for range 600 {
		large = append(large[:len(large)-1], append(binarytest.LoopBlock(), 0x0b)...)
	}
	r := reportOnModule(t, t, e, binarytest.Function(small, large), ReportOptions{NoRun: true, Limits: engine.Limits{Stack: 256 << 10}})
	if r.Here || r.Child == "" || r.Functions[1].Child != "" || r.Functions[2].Child == "" {
		t.Errorf("in process %v (%s): %+v", r.Here, r.Child, r.Functions)
	}
	for i := range r.Functions {
		if f := &r.Functions[i]; f.Loops != []int{0, 1, 600}[i] || f.Blocks != f.Loops {
			t.Errorf("function %d: %+v", i, f)
		}
	}
	if r = reportOnModule(t, t, e, binarytest.Function(small), ReportOptions{NoRun: true}); !r.Here || r.Child != "" || !r.Image {
		t.Errorf("a small module: in process %v (%s), image %v", r.Here, r.Child, r.Image)
	}
}

// FuzzReport has reports read anything, and agree with registration on it.
func FuzzReport(f *testing.F) {
	for _, c := range hostileCases(f) {
		f.Add(c.code)
	}
	for _, code := range samples(f) {
		f.Add(code)
	}
	for _, b := range binarytest.Bombs(300) {
		f.Add(b.Code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		e := &Engine{config: Config{Caps: binary.DefaultCaps(), Class: DefaultClass()}} // nothing is compiled
		_, want := e.examine(code)
		survey := binary.Explore(code, e.config.Caps)
		static, err := report.Of(survey)
		if err != nil {
			t.Fatal(err)
		}
		r := &Report{Module: static}
		if err := survey.Err(); err != nil {
			r.refuse(rejectDecoding(err))
		}
		if survey.Broken == nil {
			newModule(survey.Module).refusals(r.refuse)
			static.Entries(exportStart, exportInitialize)
		}
		if got := fmt.Sprint(want); (want == nil) != (len(r.Refusals) == 0) || want != nil && got != r.Refusals[0].Error() {
			t.Errorf("registration says %v, the report %v", want, r.Refusals)
		}
	})
}
