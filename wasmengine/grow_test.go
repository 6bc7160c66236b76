package wasmengine

import (
	"testing"

	"pappus/engine/enginetest"
)

// A growth that the memory limit refuses costs what it costs to ask, whatever the
// module declares.
func TestRefusedGrowthIsFree(t *testing.T) {
	e := newEngine(t, Config{})
	lim := enginetest.Limits()
	p, err := e.Prepare(t.Context(), hostile(t, "grow-huge"), enginetest.Signature(), lim)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	lim.Fuel = 1000
	r, err := p.Run(t.Context(), nil, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if r.Usage.Fuel > 300 {
		t.Errorf("two refused growths cost %d", r.Usage.Fuel)
	}
}
