package chericapengine

import (
	"errors"
	"fmt"
	"sync"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
	"pappus/chericapengine/loader"
)

// software is the driver that runs code under a model of the capabilities, on any
// machine.
type software struct {
	idle sync.Pool // of *a64.Machine
}

var _ driver = (*software)(nil)

func newSoftware() *software {
	return &software{idle: sync.Pool{New: func() any { return a64.NewMachine() }}}
}

func (d *software) prepare(image *loader.Image) (code, error) {
	var segments []a64.Segment
	for i := range image.Segments {
		if s := &image.Segments[i]; s.Executable {
			segments = append(segments, a64.Segment{Addr: s.Address, Bytes: s.Data})
		}
	}
	decoded, err := a64.Decode(segments)
	if err != nil {
		return nil, err
	}
	return &softwareCode{driver: d, decoded: decoded, entry: image.Entry, end: image.CodeEnd, slot: image.Return}, nil
}

type softwareCode struct {
	driver           *software
	decoded          *a64.Code
	entry, end, slot uint64
}

func (c *softwareCode) size() int64 { return c.decoded.Size() }

// Addresses of the model. A function can read them from its capabilities, so they
// are the same in every run.
const (
	contextBase = 1 << 40
	hostBase    = 1 << 46 // where a function that leaves arrives
)

// narrow derives a capability from that to everything.
func narrow(perms capability.Perms, base, size uint64) (c capability.Capability, exact bool) {
	return capability.Root().ClearPerms(capability.AllPerms &^ perms).WithAddress(base).SetBounds(size)
}

// toData is the capability to size bytes of a context.
func toData(size int64) (c capability.Capability, exact bool) {
	return narrow(capability.Load|capability.Store|capability.LoadCap, contextBase, uint64(size))
}

func (c *softwareCode) enter(from entered) (thread, error) {
	ddc, exact := toData(from.size)
	if !exact {
		return nil, fmt.Errorf("a capability can't have the size of the context, %d bytes", from.size)
	}
	// The bounds of a large program are rounded; what is no code in them can't be
	// executed all the same.
	pcc, _ := narrow(capability.Execute, contextBase, c.end)
	host, _ := narrow(capability.Execute|capability.Executive, hostBase, 4)
	// The pair is out of the function's reach, and the capability to it is sealed: all
	// that can be done with it is to leave.
	pair, _ := narrow(capability.Load|capability.LoadCap, contextBase+uint64(from.limit()), 2*capability.Size)

	m, ok := c.driver.idle.Get().(*a64.Machine)
	if !ok {
		return nil, errors.New("the pool of machines holds something else")
	}
	m.Reset(c.decoded, from.memory, contextBase, pcc.WithAddress(contextBase+c.entry), ddc)
	m.SetSP(uint64(from.stack))
	limit := uint64(from.limit())
	for _, put := range []struct {
		at uint64
		c  capability.Capability
	}{{limit, capability.Capability{}}, {limit + capability.Size, host}, {c.slot, pair.SealAs(capability.LPB)}} {
		if err := m.StoreCapability(put.at, put.c); err != nil {
			return nil, err
		}
	}
	return &softwareThread{driver: c.driver, m: m, host: host, granted: ddc}, nil
}

type softwareThread struct {
	driver *software
	m      *a64.Machine
	host   capability.Capability

	// granted is the capability to data that the function was given, as far as it
	// reached. With another one nothing grows: what it made narrower it gave up.
	granted capability.Capability
}

func (t *softwareThread) retired() int64 { return int64(t.m.Retired()) }

func (t *softwareThread) where() (registers, bool) {
	return registers{pc: t.m.PC(), link: t.m.X(30), frame: t.m.X(29)}, true
}

func (t *softwareThread) extend(size int64) {
	ddc, _ := toData(size)
	t.granted = ddc
	t.m.SetDDC(ddc)
}

func (t *softwareThread) leave() {
	m := t.m
	t.m = nil
	m.Release()
	t.driver.idle.Put(m)
}

func (t *softwareThread) run(fuel int64) stop {
	err := t.m.Run(uint64(fuel), uint64(fuel), nil)
	var f *a64.Fault
	switch {
	case err == nil && t.m.PCC() == t.host:
		return stop{why: left}
	case err == nil:
		return stop{why: faulted, detail: fmt.Sprintf("permission fault: it branched to a capability at %#x, where there is no code", t.m.PCC().Address()), hint: hintCapability}
	case errors.Is(err, a64.ErrFuel):
		return stop{why: paused}
	case errors.As(err, &f):
		detail := f.Error()
		if f.Kind == a64.FaultBRK {
			if meaning, _ := breakpoint(f.Imm()); meaning != "" {
				detail = meaning + ": " + detail
			}
		}
		return stop{
			why: faulted, detail: detail, hint: hintFor(f), stack: t.m.SP(),
			outside: f.Kind == a64.FaultBounds && !f.Fetch && t.m.DDC() == t.granted, address: f.Addr, size: uint64(f.Size),
		}
	default:
		return stop{why: faulted, detail: err.Error()}
	}
}
