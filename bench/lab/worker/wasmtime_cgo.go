//go:build cgo

package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/abi"
)

// firstPages is the memory that a call begins with, as Pappus gives it.
const firstPages = 16

// compute runs functions in wasmtime: each call in a new store and instance, or
// in one that an earlier call of the function left, which has seen its data.
type compute struct {
	folder  string
	engine  *wasmtime.Engine
	reuse   bool
	permits chan struct{} // as many as processors compute at once
	modules loaded[*module]
}

type module struct {
	*wasmtime.Module
	idle chan *instance
}

type instance struct {
	store  *wasmtime.Store
	memory *wasmtime.Memory
	start  *wasmtime.Func
	system uint32
	base   int64
}

// newWasmtime compiles the folder's functions that are not compiled yet. They
// are loaded when they are called.
func newWasmtime(folder string, pooled, reuse bool) (runner, error) {
	engine, err := newEngine(pooled)
	if err != nil {
		return nil, err
	}
	c := &compute{folder: folder, engine: engine, reuse: reuse, permits: make(chan struct{}, runtime.NumCPU())}
	c.modules.load = c.load
	sources, err := filepath.Glob(filepath.Join(folder, "*.wasm"))
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		if err := c.compile(source); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
	}
	return c, nil
}

func (c *compute) compile(source string) error {
	compiled := strings.TrimSuffix(source, ".wasm") + ".cwasm"
	if _, err := os.Stat(compiled); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	code, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	m, err := wasmtime.NewModule(c.engine, code)
	if err != nil {
		return err
	}
	defer m.Close()
	serialised, err := m.Serialize()
	if err != nil {
		return err
	}
	return os.WriteFile(compiled, serialised, 0o600)
}

func (c *compute) load(function int) (*module, error) {
	m, err := wasmtime.NewModuleDeserializeFile(c.engine, filepath.Join(c.folder, strconv.Itoa(function)+".cwasm"))
	if err != nil {
		return nil, err
	}
	return &module{m, make(chan *instance, cap(c.permits))}, nil
}

func (c *compute) Run(_ context.Context, function int, in []byte) ([]byte, error) {
	m, err := c.modules.get(function)
	if err != nil {
		return nil, err
	}
	c.permits <- struct{}{}
	i, err := c.instance(m)
	if err != nil {
		<-c.permits
		return nil, err
	}
	answer, err := i.run(in)
	if err == nil && c.reuse {
		select {
		case m.idle <- i:
			<-c.permits
			return answer, nil
		default:
		}
	}
	// Nobody waits for the end of a store but the next call.
	go func() {
		i.store.Close()
		<-c.permits
	}()
	return answer, err
}

// instance is a new one, or an idle one if those are used again.
func (c *compute) instance(m *module) (*instance, error) {
	select {
	case i := <-m.idle:
		return i, nil
	default:
	}
	store := wasmtime.NewStore(c.engine)
	i, err := newInstance(store, m.Module)
	if err != nil {
		store.Close()
		return nil, err
	}
	return i, nil
}

func newInstance(store *wasmtime.Store, m *wasmtime.Module) (*instance, error) {
	w, err := wasmtime.NewInstance(store, m, nil)
	if err != nil {
		return nil, err
	}
	memory, system, start := w.GetExport(store, "memory"), w.GetExport(store, "__dandelion_system_data"), w.GetFunc(store, "_start")
	if memory == nil || memory.Memory() == nil || system == nil || system.Global() == nil || start == nil {
		return nil, errors.New("it does not export what a function does")
	}
	i := &instance{store: store, memory: memory.Memory(), start: start, system: uint32(system.Global().Get(store).I32())}
	i.base = int64(i.memory.DataSize(store))
	if pages := i.memory.Size(store); pages < firstPages {
		if _, err := i.memory.Grow(store, firstPages-pages); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func (i *instance) run(in []byte) ([]byte, error) {
	sets := []data.Set{{Name: "size", Items: []*data.Item{data.NewItem("body", 0, in)}}}
	outputs := []string{"checksum"}
	abi.Wasm32.Place(i.memory.UnsafeData(i.store), uint64(i.system), i.base, abi.Heap{Begin: -1, End: -1}, sets, outputs, nil)
	if _, err := i.start.Call(i.store); err != nil {
		return nil, err
	}
	// The memory may have grown and moved.
	memory := i.memory.UnsafeData(i.store)
	if code := abi.ExitCode(memory, uint64(i.system)); code != 0 {
		return nil, fmt.Errorf("exit code %d", code)
	}
	out, err := abi.Wasm32.Outputs(memory, uint64(i.system), outputs, engine.DefaultLimits())
	if err != nil {
		return nil, err
	}
	if len(out[0].Items) != 1 {
		return nil, fmt.Errorf("%d answers", len(out[0].Items))
	}
	return bytes.Clone(out[0].Items[0].Bytes()), nil
}
