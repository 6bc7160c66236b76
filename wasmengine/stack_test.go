package wasmengine

import (
	"reflect"
	"strings"
	"testing"

	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary/binarytest"
)

// chain is the body of a function that gives its one local n values, each of
// which lives over a call of itself: wazero has a place for each.
func chain(n int) []byte {
	var code []byte
	for i := range n {
		// local.get 0; i32.const; i32.add; local.set 0; call 1
		code = append(code, 0x20, 0, 0x41, byte(1+i%63), 0x6a, 0x21, 0, 0x10, 1)
	}
	return binarytest.Body(1, append(code, 0x41, 0, 0x20, 0, 0x36, 2, 0)) // i32.store 0
}

// A function whose machine code takes much more stack than its frame is charged
// can have only so much of a stack limit that its calls never use up the
// machine's: also when it was kept on disk.
func TestMachineStackIsEnough(t *testing.T) {
	e := newEngine(t, Config{})
	lim := enginetest.Limits()
	lim.Stack = engine.MaxLimits().Stack
	_, err := e.Prepare(t.Context(), binarytest.Function(chain(1000)), enginetest.Signature(), lim)
	if err == nil || !strings.Contains(err.Error(), "the most is ") {
		t.Fatalf("a stack of %s: %v", lim.Stack, err)
	}
	most := err.Error()[strings.Index(err.Error(), "the most is ")+len("the most is "):]
	if lim.Stack, err = engine.ParseBytes(strings.TrimRight(strings.Fields(most)[0], ";")); err != nil {
		t.Fatal(err)
	}
	p, err := e.Prepare(t.Context(), binarytest.Function(chain(1000)), enginetest.Signature(), lim)
	if err != nil {
		t.Fatalf("a stack of %s: %v", lim.Stack, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// What deep calls took of the machine's stack is not kept with idle instances.
func TestStacksAreTrimmed(t *testing.T) {
	for _, interpreted := range []bool{false, true} {
		e := newEngine(t, Config{Interpreter: interpreted})
		opened, err := e.Prepare(t.Context(), hostile(t, "echo-grow"), enginetest.Signature(), enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		p, _ := opened.(*Program)
		i, err := p.instantiate(t.Context(), enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		if !interpreted {
			if kind := i.machine.Type(); kind != reflect.TypeFor[[]byte]() || i.machine.Len() < 1000 || i.machine.Len() > keptStack {
				t.Errorf("a new entry has a stack of %d %v", i.machine.Len(), kind)
			}
		}
		if !i.trim() {
			t.Error("the entry is lost")
		}
		if err := i.close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	// A recursion that ends well leaves a large stack, and the next call a small one.
	e := newEngine(t, Config{})
	lim := enginetest.Limits()
	opened, err := e.Prepare(t.Context(), hostile(t, "recursion-ends"), enginetest.Signature(), lim)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	p, _ := opened.(*Program)
	r, err := p.Run(t.Context(), nil, lim)
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	if len(p.idle) != 1 || p.idle[0].machine.Len() > keptStack {
		t.Fatalf("%d idle instances", len(p.idle))
	}
}
