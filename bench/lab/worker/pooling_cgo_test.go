//go:build cgo

package worker

import (
	"strings"
	"testing"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

// The pool is what instances come from: it has an end, and memory that is mapped for
// each has none that is so near.
func TestPoolIsUsed(t *testing.T) {
	const more = 1001 // than the library's pool has
	for _, pooled := range []bool{false, true} {
		engine, err := newEngine(pooled)
		if err != nil {
			t.Fatal(err)
		}
		code, err := wasmtime.Wat2Wasm("(module (memory 1))")
		if err != nil {
			t.Fatal(err)
		}
		module, err := wasmtime.NewModule(engine, code)
		if err != nil {
			t.Fatal(err)
		}
		var stores []*wasmtime.Store
		for range more {
			store := wasmtime.NewStore(engine)
			stores = append(stores, store)
			if _, err = wasmtime.NewInstance(store, module, nil); err != nil {
				break
			}
		}
		if full := err != nil && strings.Contains(err.Error(), "limit"); full != pooled || err != nil && !full {
			t.Errorf("pooled %v: after %d instances: %v", pooled, len(stores), err)
		}
		for _, store := range stores {
			store.Close()
		}
		module.Close()
		engine.Close()
	}
}
