package wasmengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"pappus/engine"
	"pappus/engine/domain"
	"pappus/wasmengine/binary"
)

// mapFrom is how many bytes an image must have for mapping it copy-on-write to
// be cheaper than copying it: a mapping costs what copying so much does, and
// then a fault for every page that a call writes to.
const mapFrom = 256 << 10

// image is the state that calls start from: what the module's data segments
// and its initialisation leave, which see no inputs. It is made once, under
// the limits that the program was prepared with.
type image struct {
	pages   uint32        // size of the memory
	globals []uint64      // values of the mutable globals; nil: as they are declared
	runs    []run         // what is not zero, to be copied; nil if it is mapped
	file    *domain.Image // the same, to be mapped; nil if it is copied
}

// run is a part of a memory.
type run struct {
	offset uint32
	bytes  []byte
}

// size is what the image takes, in bytes.
func (m *image) size() int64 {
	n := int64(len(m.globals)) * 8
	if m.file != nil {
		return n + int64(len(m.file.Bytes()))
	}
	for _, r := range m.runs {
		n += int64(len(r.bytes))
	}
	return n
}

func (m *image) close() error {
	if m == nil || m.file == nil {
		return nil
	}
	return m.file.Close()
}

// write writes the image into a memory that reads as zero and has its size.
func (m *image) write(memory []byte) {
	for _, r := range m.runs {
		copy(memory[r.offset:], r.bytes)
	}
}

// dataOf is what a module's active data segments leave in its memory.
func dataOf(m *binary.Module) []run {
	var runs []run
	for i := range m.Data {
		if d := &m.Data[i]; d.Mode == binary.Active && len(d.Bytes) > 0 {
			runs = append(runs, run{d.Offset, bytes.Clone(d.Bytes)})
		}
	}
	return runs
}

// maxImage is how much initialisation may leave, in bytes. It is held in memory
// while the program is loaded, and for a moment more than once.
const maxImage = 128 << 20

// maxCopied is how much data may be copied for each call, which nothing charges
// or interrupts, in bytes. It takes about 3 ms.
const maxCopied = 4 << 20

func sizeOf(runs []run) (n int) {
	for _, r := range runs {
		n += len(r.bytes)
	}
	return n
}

// runsOf finds the pages of a memory that are not zero, if they are not more
// than most bytes. The runs are copies.
func runsOf(memory []byte, most int) (runs []run, ok bool) {
	zero := make([]byte, domain.PageSize)
	from := -1
	for at := 0; at <= len(memory); at += domain.PageSize {
		dirty := at < len(memory) && !bytes.Equal(memory[at:at+domain.PageSize], zero)
		if dirty {
			if most -= domain.PageSize; most < 0 {
				return nil, false
			}
		}
		switch {
		case dirty && from < 0:
			from = at
		case !dirty && from >= 0:
			runs = append(runs, run{uint32(from), bytes.Clone(memory[from:at])})
			from = -1
		}
	}
	return runs, true
}

// newImage makes an image of runs, which lie within the pages of memory.
func newImage(pages uint32, runs []run, globals []uint64) (*image, error) {
	m := &image{pages: pages, runs: runs, globals: globals}
	if m.size() < mapFrom {
		return m, nil
	}
	end := int64(0)
	for _, r := range runs {
		end = max(end, int64(r.offset)+int64(len(r.bytes)))
	}
	file, err := domain.NewImage(end, m.write)
	if err != nil {
		return nil, err
	}
	m.file, m.runs = file, nil
	return m, nil
}

// prepare makes the image that calls start from, data being what the module's
// data segments leave, and refuses a module that can't even start. Without an
// image every call initialises its own instance; one is initialised here, to
// know that it can be.
// It returns the state that the image holds.
func (p *Program) prepare(ctx context.Context, data []run, lim engine.Limits) (state, error) {
	s, err := p.makeImage(ctx, data, lim)
	var f *engine.Fault
	var r *engine.RejectedError
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, domain.ErrExhausted) || errors.As(err, &r):
		return s, err
	case errors.As(err, &f):
		return s, &engine.RejectedError{Reason: "the module fails while it is initialised: " + f.Error(), Hint: "run it locally to find out why", Err: err}
	default:
		return s, &engine.RejectedError{Reason: "the module can't be instantiated: " + err.Error(), Hint: "its data or element segments may not fit", Err: err}
	}
}

func (p *Program) makeImage(ctx context.Context, data []run, lim engine.Limits) (state, error) {
	i, err := p.take(ctx, lim, p.facts.MinPages)
	if err != nil {
		return state{}, err
	}
	defer func() {
		p.initFuel = i.initFuel
		p.give(i, true)
	}()
	if !p.imaged {
		if size := sizeOf(data); size > maxCopied && !p.engine.config.NoImages {
			return state{}, reject(fmt.Sprintf("no image can be made of it, since it changes tables, drops segments, or initialises globals that are too many or vectors: so its %d bytes of data are copied for every call; the most is %s", size, engine.Bytes(maxCopied)),
				"build it without that, or with less data")
		}
		return state{None: true}, i.initialize(ctx, lim)
	}
	s := state{Pages: i.pages(), runs: data}
	if p.facts.Initializes {
		(&image{runs: data}).write(i.bytes())
		if err := i.initialize(ctx, lim); err != nil {
			return state{}, err
		}
		s = state{Pages: i.pages(), Globals: make([]uint64, len(i.globals))}
		var ok bool
		if s.runs, ok = runsOf(i.bytes(), maxImage); !ok {
			return state{}, reject(fmt.Sprintf("its initialisation leaves more than %s in its memory", engine.Bytes(maxImage)), "fill memory when it is called and not when it is initialised")
		}
		for n, g := range i.globals {
			s.Globals[n] = g.Get()
		}
	}
	return s, p.start(s)
}

// start has calls start from a state.
func (p *Program) start(s state) error {
	if s.None {
		return nil
	}
	image, err := newImage(s.Pages, s.runs, s.Globals)
	if err != nil {
		return err
	}
	p.image = image
	p.size += image.size()
	return nil
}
