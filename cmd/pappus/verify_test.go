package main

import (
	"context"
	"errors"
	"testing"

	"pappus/engine"
	"pappus/wasmengine"
)

// countingEngine counts what is prepared.
type countingEngine struct {
	engine.Engine
	prepared int
}

func (e *countingEngine) Prepare(ctx context.Context, code []byte, sig engine.Signature, lim engine.Limits) (engine.Program, error) {
	e.prepared++
	return e.Engine.Prepare(ctx, code, sig, lim)
}

// However many cases there are, code is compiled once for each engine.
func TestVerifyPreparesOnce(t *testing.T) {
	code, first, err := readImplementations([]string{"../../samples/sum/sum.wasm", "../../samples/sum/sum.elf"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := readCases("../../samples/sum/cases")
	if err != nil || len(list) < 2 {
		t.Fatalf("%d cases, %v", len(list), err)
	}
	v, err := newVerification(code, first)
	if err != nil {
		t.Fatal(err)
	}
	var counters []*countingEngine
	limits := map[engine.Limits]bool{}
	for _, c := range list {
		limits[c.Limits] = true
	}
	for _, p := range v.programs {
		counter := &countingEngine{Engine: p.engine}
		p.engine = counter
		counters = append(counters, counter)
	}
	for _, one := range list {
		if r, err := v.run(t.Context(), one); err != nil || r.Result != caseOK || r.Interpreted == nil || r.Native == nil {
			t.Errorf("%s: %+v, %v", one.Name, r, err)
		}
	}
	if len(counters) != 3 || len(limits) == len(list) {
		t.Fatalf("%d engines, %d different limits in %d cases", len(counters), len(limits), len(list))
	}
	for _, c := range counters {
		if c.prepared != len(limits) {
			t.Errorf("the engine %s prepared the code %d times, with %d different limits", c.Name(), c.prepared, len(limits))
		}
	}
	if err := v.close(); err != nil {
		t.Error(err)
	}
}

// What can't be prepared is tried again, and closed never.
func TestProgramsThatCannotBePrepared(t *testing.T) {
	eng, err := wasmengine.New(wasmConfig())
	if err != nil {
		t.Fatal(err)
	}
	counter := &countingEngine{Engine: eng}
	p := newPrograms(counter, []byte("\x00asm"), engine.Signature{})
	for range 2 {
		var rejected *engine.RejectedError
		if _, err := p.with(t.Context(), engine.DefaultLimits()); !errors.As(err, &rejected) {
			t.Errorf("%v", err)
		}
	}
	if err := errors.Join(p.close(), eng.Close()); err != nil || counter.prepared != 2 {
		t.Errorf("prepared %d times, %v", counter.prepared, err)
	}
}
