package chericapengine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newEngine(t testing.TB, config Config) *Engine {
	t.Helper()
	e, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s := e.Stats(); s.Mapped != s.Idle {
			t.Errorf("contexts are lost: %+v", s)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if s := e.Stats(); s.Mapped != 0 {
			t.Errorf("after Close %d regions are mapped", s.Mapped)
		}
	})
	return e
}

func function(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/functions/" + name + ".elf")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	fx := enginetest.Fixtures{
		Echo:          function(t, "echo"),
		Spin:          function(t, "spin"),
		Grow:          function(t, "grow"),
		Recurse:       function(t, "recurse"),
		Trap:          function(t, "trap"),
		TrapAfterExit: function(t, "trap_after_exit"),
		Exit7:         function(t, "exit_7"),
		ExitUnset:     function(t, "exit_unset"),
		BadOutput:     map[string][]byte{},
		Rejected: map[string][]byte{
			"empty": nil, "text": []byte("#!/bin/sh\n"), "magic only": []byte("\x7fELF"), "half": function(t, "echo")[:3000], "wasm": []byte("\x00asm\x01\x00\x00\x00"),
		},
	}
	for _, name := range []string{
		"bad_sets", "bad_sets_length", "bad_items", "bad_items_wrap", "bad_count", "bad_name", "bad_name_place", "bad_data", "bad_data_length", "bad_key", "bad_text",
	} {
		fx.BadOutput[name] = function(t, name)
	}
	for _, c := range []struct {
		name   string
		config Config
	}{{"defaults", Config{}}, {"slices of seven", Config{Slice: 7}}} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.Slice > 0 && testing.Short() {
				t.Skip("many slices take seconds")
			}
			enginetest.Run(t, func(t *testing.T) engine.Engine { return newEngine(t, c.config) }, fx)
		})
	}
}

// run runs a function of testdata without inputs.
func run(t testing.TB, e *Engine, name string, sig engine.Signature, lim engine.Limits) (engine.Usage, []data.Set, error) {
	t.Helper()
	p, err := e.Prepare(t.Context(), function(t, name), sig, lim)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer p.Close()
	r, err := p.Run(t.Context(), nil, lim)
	if err != nil {
		return engine.Usage{}, nil, err
	}
	r.Detach()
	return r.Usage, r.Outputs, nil
}

// Whatever a function does beyond its capabilities is a fault of its kind, which
// says what it was.
func TestAdversaries(t *testing.T) {
	e := newEngine(t, Config{})
	for _, c := range []struct {
		name string
		kind engine.FaultKind
		text string
	}{
		{"load_at_the_end", engine.FaultTrap, "bounds fault: load of 8 bytes at 0xfffff9"},
		{"load_behind_the_end", engine.FaultTrap, "bounds fault: load of 8 bytes at 0x1000000"},
		{"store_at_the_end", engine.FaultTrap, "bounds fault: store of 8 bytes at 0xfffff9"},
		{"store_byte_behind_the_end", engine.FaultTrap, "bounds fault: store of 1 bytes at 0x1000000"},
		{"load_before_the_start", engine.FaultTrap, "bounds fault: load of 8 bytes at 0xffffffffffffffff"},
		{"load_far_before_the_start", engine.FaultTrap, "bounds fault: load of 8 bytes at 0xffffff0000000000"},
		{"load_the_last_address", engine.FaultTrap, "bounds fault: load of 8 bytes at 0xfffffffffffffff8"},
		{"store_of_the_host", engine.FaultTrap, "bounds fault: store of 8 bytes at 0x10000000000"},
		{"pair_across_the_end", engine.FaultTrap, "bounds fault: store of 16 bytes at 0xfffff8"},
		{"pair_of_vectors_across_the_end", engine.FaultTrap, "bounds fault: load of 32 bytes at 0xfffff0"},
		{"pre_index_across_the_end", engine.FaultTrap, "bounds fault: store of 8 bytes at 0xfffffc"},
		{"register_offset_that_wraps", engine.FaultTrap, "bounds fault: load of 8 bytes at 0x8000000001000000"},
		{"jump_to_null", engine.FaultTrap, "no instruction can be fetched from 0x0"},
		{"jump_behind_the_end", engine.FaultTrap, "bounds fault: no instruction can be fetched from 0x1000000"},
		{"jump_to_data", engine.FaultTrap, "no instruction can be fetched from 0x10"},
		{"jump_to_heap", engine.FaultTrap, "bounds fault: no instruction can be fetched from 0x10"},
		{"jump_between_instructions", engine.FaultTrap, "alignment fault: no instruction can be fetched from 0x100"},
		{"jump_to_the_last_address", engine.FaultTrap, "bounds fault: no instruction can be fetched from 0xfffffffffffffffc"},
		{"store_to_code", engine.FaultTrap, "permission fault: store of 8 bytes at 0x100"},
		{"literal", engine.FaultTrap, "permission fault: load of 8 bytes"},
		{"forged_slot", engine.FaultTrap, "tag fault"},
		{"overwritten_slot", engine.FaultTrap, "tag fault"},
		{"copied_slot", engine.FaultTrap, "tag fault"},
		{"stored_capability", engine.FaultTrap, "permission fault: store of 16 bytes"},
		{"narrowed_data", engine.FaultTrap, "bounds fault: store of 8 bytes at 0xfffff0"},
		{"unaligned_capability", engine.FaultTrap, "alignment fault: load of 16 bytes"},
		{"unaligned_stack", engine.FaultTrap, "alignment fault"},
		{"svc", engine.FaultTrap, "system call (SVC #0)"},
		{"brk", engine.FaultTrap, "breakpoint (BRK #0x2a)"},
		{"trap", engine.FaultTrap, "breakpoint (BRK #0x3e8)"},
		{"undefined", engine.FaultTrap, "undefined instruction 0x00000000 (UDF) at 0x1"},
		{"hvc", engine.FaultTrap, "undefined instruction 0xd4000002 (HVC, for systems only) at 0x1"},
		{"counter", engine.FaultTrap, "undefined instruction 0xd53be049 (MRS of S3_3_C14_C0_2) at 0x1"},
		{"divide", engine.FaultTrap, "divided an integer by zero"},
		{"divide_smallest", engine.FaultTrap, "divided an integer by zero"},
		{"remainder", engine.FaultTrap, "divided an integer by zero"},
		{"convert", engine.FaultTrap, "floating-point number that does not fit"},
		{"convert_nan", engine.FaultTrap, "floating-point number that does not fit"},
		{"recurse", engine.FaultOutOfStack, "bounds fault: store of 16 bytes at 0xffffffffffff"},
		{"exit_memory", engine.FaultOutOfMemory, "raise the memory limit"},
	} {
		_, _, err := run(t, e, c.name, enginetest.Signature(), enginetest.Limits())
		if engine.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %s: %s", c.name, err, c.kind, c.text)
		}
		if f := (*engine.Fault)(nil); errors.As(err, &f) && f.Kind != engine.FaultOutOfMemory && (f.Hint == "" || len(f.Stack) == 0) {
			t.Errorf("%s: hint %q, stack %q", c.name, f.Hint, f.Stack)
		}
	}
	if _, _, err := run(t, e, "overflow", enginetest.Signature(), enginetest.Limits()); err != nil {
		t.Errorf("sums do not wrap around: %v", err)
	}
}

// A fault tells the function's calls, by their names, also where the last one has no
// frame, where it left the code, and where there are too many.
func TestStack(t *testing.T) {
	e := newEngine(t, Config{})
	for _, c := range []struct {
		name string
		want []string // beginnings
	}{
		{"calls", []string{"innermost.constprop.0+0x", "middle.constprop.0+0x", "outermost.constprop.0+0x", "_start+0x"}},
		{"jump_to_null", []string{"0x0", "_start+0x"}},
		{"jump_to_heap", []string{"0x10", "_start+0x"}},
		{"recurse", slices.Repeat([]string{"recurse+0x"}, maxCalls)},
		{"spin", []string{"_start+0x"}},
	} {
		lim := enginetest.Limits()
		lim.Fuel = 1e6
		_, _, err := run(t, e, c.name, enginetest.Signature(), lim)
		var f *engine.Fault
		if !errors.As(err, &f) || !slices.EqualFunc(f.Stack, c.want, strings.HasPrefix) {
			t.Errorf("%s: %v, %q; want %q", c.name, err, f.Stack, c.want)
		}
		if c.name == "recurse" && !strings.Contains(f.Hint, "recurse calls itself") {
			t.Errorf("hint %q", f.Hint)
		}
	}
}

// A function may touch all the memory that its limit allows, and takes what it
// touches.
func TestMemory(t *testing.T) {
	e := newEngine(t, Config{})
	for _, limit := range []engine.Bytes{2 << 20, 128 << 20, 3<<30 + 5*engine.PageSize, engine.MaxPages * engine.PageSize} {
		lim := enginetest.Limits()
		lim.Memory = limit
		u, _, err := run(t, e, "touch_all", enginetest.Signature(), lim)
		if err != nil {
			t.Errorf("%s: %v", limit.Long(), err)
			continue
		}
		if got := u.MemoryPages * engine.PageSize; got > int64(limit) || got < int64(limit)-2<<20 {
			t.Errorf("of %s it took %s", limit.Long(), engine.Bytes(got).Long())
		}
		if u, _, err = run(t, e, "echo", enginetest.Signature(), lim); err != nil || u.MemoryPages > 20 {
			t.Errorf("with %s one that needs little took %d pages, %v", limit.Long(), u.MemoryPages, err)
		}
	}
	lim := enginetest.Limits()
	lim.Memory = 1 << 20
	if _, _, err := run(t, e, "echo", enginetest.Signature(), lim); err == nil {
		t.Error("it ran in less memory than it has")
	}
}

// Outputs may lie in memory that the function has not been to. It is zero, and the run
// is charged for it before it is anybody's.
func TestUnreachedOutputs(t *testing.T) {
	e := newEngine(t, Config{})
	lim := enginetest.Limits()
	lim.Memory = 256 << 20
	u, outputs, err := run(t, e, "unreached", enginetest.Signature(), lim)
	if err != nil || data.Count(outputs) != 1 || !bytes.Equal(outputs[0].Items[0].Bytes(), make([]byte, 1<<19)) {
		t.Fatalf("%d items, %v", data.Count(outputs), err)
	}
	if got := u.MemoryPages * engine.PageSize; got != int64(lim.Memory) {
		t.Errorf("it took %s, and its output ends at %s", engine.Bytes(got).Long(), lim.Memory.Long())
	}
	u, outputs, err = run(t, e, "unreached_items", enginetest.Signature(), lim)
	if err != nil || data.Count(outputs) != 100 || data.Size(outputs) != 0 || u.MemoryPages > 20 {
		t.Errorf("items without data: %d items, %d bytes, %d pages, %v", data.Count(outputs), data.Size(outputs), u.MemoryPages, err)
	}

	p, err := e.Prepare(t.Context(), function(t, "unreached"), enginetest.Signature(), lim)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Run(t.Context(), nil, lim)
	if err != nil || r.Held != int64(lim.Memory) {
		t.Errorf("the result holds %d bytes, %v", r.Held, err)
	}
	r.Release()
	refusing := engine.WithScheduler(t.Context(), growth(func(bytes int64) error {
		if bytes == int64(lim.Memory) {
			return engine.ErrDropped
		}
		return nil
	}))
	if _, err := p.Run(refusing, nil, lim); !errors.Is(err, engine.ErrDropped) {
		t.Errorf("with a scheduler that has no memory: %v", err)
	}
}

// growth is a scheduler that is asked for memory alone.
type growth func(bytes int64) error

var _ engine.Scheduler = growth(nil)

func (growth) Yield(context.Context, time.Time) (time.Duration, error) { return 0, nil }

func (g growth) Grow(_ context.Context, bytes int64, _ time.Time) (time.Duration, error) {
	return 0, g(bytes)
}

func TestStderr(t *testing.T) {
	sig := engine.Signature{Outputs: []engine.Param{{Name: "stdio", Type: engine.TypeSet}}}
	_, _, err := run(t, newEngine(t, Config{}), "stderr", sig, enginetest.Limits())
	f, ok := err.(*engine.Fault) //nolint:errorlint // it must be one itself
	if !ok || f.ExitCode != 5 || string(f.Stderr) != "went wrong" {
		t.Errorf("%+v", f)
	}
}

// What a program was made of is the caller's again, and runs leave nothing in it.
func TestCodeIsCopied(t *testing.T) {
	code := function(t, "echo")
	p, err := newEngine(t, Config{}).Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	clear(code)
	in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("a", 1, []byte("hello"))}}}
	for range 2 {
		r, err := p.Run(t.Context(), in, enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		if !data.Equal(r.Outputs, []data.Set{{Name: "out", Items: in[0].Items}}) {
			t.Errorf("outputs %v", r.Outputs)
		}
		r.Release()
	}
}
