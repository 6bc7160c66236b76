//go:build cgo

package worker

// The library that wasmtime-go brings has these functions, which are not among those
// that it offers to Go (wasmtime/config.h). They are linked with it.

// typedef struct wasm_config_t wasm_config_t;
// typedef struct wasmtime_pooling_allocation_config_t pooling;
// pooling *wasmtime_pooling_allocation_config_new(void);
// void wasmtime_pooling_allocation_config_delete(pooling *);
// void wasmtime_pooling_allocation_strategy_set(wasm_config_t *, const pooling *);
//
// static void use_pooling(void *config) {
//	pooling *p = wasmtime_pooling_allocation_config_new();
//	wasmtime_pooling_allocation_strategy_set((wasm_config_t *)config, p);
//	wasmtime_pooling_allocation_config_delete(p);
// }
import "C"

import (
	"errors"
	"reflect"
	"unsafe"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

// newEngine makes an engine whose instances' memories are new mappings each, or
// come from a pool of reserved ones, with the library's own bounds.
func newEngine(pooled bool) (*wasmtime.Engine, error) {
	if !pooled {
		return wasmtime.NewEngine(), nil
	}
	config := wasmtime.NewConfig()
	// The configuration's only field is the pointer to that of the library.
	v := reflect.ValueOf(config).Elem()
	if v.NumField() != 1 || v.Field(0).Kind() != reflect.Pointer || v.Field(0).IsNil() {
		return nil, errors.New("wasmtime-go's Config is not the one that is known")
	}
	C.use_pooling(*(*unsafe.Pointer)(unsafe.Pointer(config)))
	return wasmtime.NewEngineWithConfig(config), nil
}
