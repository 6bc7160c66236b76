package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"pappus/engine"
	"pappus/engine/domain"
)

// instance is one instantiated module with its context of memory. It runs one
// call at a time and is owned by one goroutine.
type instance struct {
	program *Program
	module  api.Module
	memory  *linear

	fuel, stack api.MutableGlobal
	entry       api.Function
	machine     reflect.Value // the stack that wazero keeps with entry, see machineStack
	reset       api.Function  // nil before the second call
	init        []api.Function
	initFuel    int64               // that init used
	globals     []api.MutableGlobal // of the module, if an image has their values

	run        running
	entryPages uint32 // size with which the last call began
	worker     any    // that had it last, see engine.WorkerOf; nil if there is none
	used       bool   // a call ran in it, so globals must be reset before the next
	warm       int64  // bytes that it keeps resident while it is idle
	observed   bool
	residency  []byte
}

// linear is a wazero memory in a region of the memory domain.
type linear struct {
	pool   *domain.Pool
	region *domain.Region
	run    *running // the call that may be going on in it
	size   uint64   // bytes; it never shrinks
	most   uint32   // pages
	warm   int64    // bytes that stay resident when the region goes back
}

// Allocate gives wazero the memory that was reserved for the instance.
func (l *linear) Allocate(_, _ uint64) experimental.LinearMemory { return l }

// Reallocate grows the memory in place; nil refuses, which the guest sees. A
// call that gets no memory for another reason is ended.
func (l *linear) Reallocate(size uint64) []byte {
	if size > uint64(l.most)*engine.PageSize {
		return nil
	}
	if err := l.run.slices.Grow(int64(size)); err != nil {
		l.run.stopped = err
		panic(errStopped) //nolint:forbidigo // how wazero leaves the guest; it becomes an error there
	}
	l.size = size
	return l.region.Bytes()[:size:size]
}

// Free is called when the instance is closed.
func (l *linear) Free() {
	if l.region == nil {
		return
	}
	region := l.region
	l.region = nil
	// A region that can't be sanitised is unmapped by the pool; there is nobody
	// to tell, and nothing else to do.
	_ = l.pool.Put(region, int64(l.size), l.warm)
}

// noRandom is what an instance gets for a random source, since seeding the
// default one costs more than all the rest. A module without imports can't
// read it.
type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, io.EOF }

// instantiate makes a new instance, which has not been initialised.
func (p *Program) instantiate(ctx context.Context, lim engine.Limits) (*instance, error) {
	most := p.most(lim)
	region, err := p.engine.pool.Get(int64(most)*engine.PageSize, p.warmth.Huge())
	if err != nil {
		return nil, err
	}
	i := &instance{program: p}
	i.memory = &linear{pool: p.engine.pool, region: region, run: &i.run, most: most}
	if most < p.facts.MinPages {
		i.memory.Free()
		return nil, fmt.Errorf("memory limit %s is below the module's initial memory of %d pages", lim.Memory, p.facts.MinPages)
	}
	if p.image != nil && p.image.file != nil {
		if err := region.Map(p.image.file); err != nil {
			i.memory.Free()
			return nil, err
		}
	}
	i.module, err = p.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, i.memory), p.compiled, p.instances)
	if err != nil {
		i.memory.Free()
		return nil, err
	}
	p.engine.created.Add(1)
	if err := i.bind(); err != nil {
		return nil, errors.Join(err, i.close())
	}
	return i, nil
}

// bind looks up the exports that every call needs.
func (i *instance) bind() error {
	names := &i.program.names
	var ok bool
	if i.fuel, ok = i.module.ExportedGlobal(names.Fuel).(api.MutableGlobal); !ok {
		return errors.New("the metered module has no fuel counter")
	}
	if i.stack, ok = i.module.ExportedGlobal(names.Stack).(api.MutableGlobal); !ok {
		return errors.New("the metered module has no stack counter")
	}
	if !i.enter() {
		return errors.New("the metered module has no entry")
	}
	for _, name := range names.Globals {
		g, ok := i.module.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return errors.New("the metered module does not export its globals")
		}
		i.globals = append(i.globals, g)
	}
	if i.program.image != nil {
		return nil
	}
	if names.Start != "" {
		i.init = append(i.init, i.module.ExportedFunction(names.Start))
	}
	if i.program.facts.Initialize {
		i.init = append(i.init, i.module.ExportedFunction(exportInitialize))
	}
	return nil
}

// enter looks up the entry, which comes with a small stack of its own.
func (i *instance) enter() bool {
	if i.entry = i.module.ExportedFunction(exportStart); i.entry == nil {
		return false
	}
	i.machine = machineStack(i.entry)
	return true
}

// keptStack is how much of the machine's stack an instance may keep while it is
// idle, in bytes.
const keptStack = 64 << 10

// trim gives the stack back that deep calls have left with the entry: wazero
// keeps it for the next call, and nobody would count it.
func (i *instance) trim() bool {
	return !i.machine.IsValid() || i.machine.Len() <= keptStack || i.enter()
}

// machineStack is the slice that wazero keeps with a function for a stack, or
// the zero value. Its size is not told, so it is looked at where it is kept; a
// test holds that compiled code has it there, in bytes.
func machineStack(f api.Function) reflect.Value {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	stack := v.Elem().FieldByName("stack")
	if stack.Kind() != reflect.Slice {
		return reflect.Value{}
	}
	return stack
}

// begin brings the instance to the state in which inputs are placed, but for
// its memory.
func (i *instance) begin(ctx context.Context, lim engine.Limits) error {
	used := i.used
	i.used = true
	switch image := i.program.image; {
	case image == nil:
		return i.initialize(ctx, lim)
	case image.globals != nil:
		for n, g := range i.globals {
			g.Set(image.globals[n])
		}
	case used:
		if i.reset == nil { // looking it up makes a call stack of 10 KB, which a new instance does without
			i.reset = i.module.ExportedFunction(i.program.names.Reset)
		}
		// The reset itself is not metered, but its code is the platform's.
		return i.reset.CallWithStack(ctx, nil)
	}
	return nil
}

// initialize runs the module's own initialisation in a new instance.
func (i *instance) initialize(ctx context.Context, lim engine.Limits) error {
	lim.Fuel, lim.Timeout = initFuel, engine.Duration(initTimeout)
	for _, f := range i.init {
		usage, err := i.call(ctx, f, lim)
		i.initFuel += usage.Fuel
		if err != nil {
			return verdict(ctx, err, -1, i)
		}
	}
	return nil
}

func (i *instance) pages() uint32 { return uint32(i.memory.size / engine.PageSize) }

// bytes is the memory in its present size.
func (i *instance) bytes() []byte { return i.memory.region.Bytes()[:i.memory.size] }

// grow brings the memory to a number of pages that is not below its size.
func (i *instance) grow(pages uint32) bool {
	if pages == i.pages() {
		return true
	}
	_, ok := i.module.Memory().Grow(pages - i.pages())
	return ok
}

// observe prepares for learning what the call touches, if it is to be learnt from.
func (i *instance) observe(due bool) {
	i.observed = due && i.program.imaged && i.memory.region.Watch(int64(i.memory.size)) == nil
}

// learn looks at what the call touched.
func (i *instance) learn(w *domain.Warmth) {
	if !i.observed {
		return
	}
	i.observed = false
	pages, err := i.memory.region.Touched(min(int64(i.memory.size), domain.Observed), i.residency)
	if err != nil {
		return // only speed is learnt here
	}
	i.residency = pages
	w.Observe(pages, i.program.image != nil && i.program.image.file != nil)
}

// close ends the instance; its region goes back to the domain.
func (i *instance) close() error {
	i.memory.warm = i.program.warmth.Prefix()
	err := i.module.Close(context.Background())
	i.memory.Free() // wazero has done it; if it had not, the region would be lost
	return err
}
