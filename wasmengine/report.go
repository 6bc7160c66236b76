package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/meter"
	"pappus/wasmengine/report"
)

// ReportOptions say under what a module is reported on.
type ReportOptions struct {
	Signature *engine.Signature // nil: the manifest's
	Limits    engine.Limits     // zero ones are the manifest's, or the defaults
	Maximum   engine.Limits     // the highest limits that are granted; zero value: engine.MaxLimits()
	NoRun     bool              // run nothing of the module, its initialisation neither
}

// Report is what can be known of a module, whether it would be refused or not.
type Report struct {
	*report.Module

	Manifest  engine.Manifest
	Signature engine.Signature
	Limits    engine.Limits
	Layout    string

	// Refusals are the reasons for which registration refuses the module, in the
	// order in which it finds them: it tells only the first. More is how many
	// others there are of the same kind as these.
	Refusals []*engine.RejectedError
	More     int
	Broken   bool // the module can't be read to its end, so that there may be other reasons

	Metered     bool   // Image, NoImage and Here are known
	Image       bool   // calls start from an image that is made at registration
	NoImage     string // why not
	Here        bool   // it is compiled in the server's process
	Child       string // why not
	Compiled    bool   // it was compiled, so what the compiler refuses is known
	MaxStack    engine.Bytes
	Initializes bool // it has code that runs at registration
	Initialized bool // that code ran well, or there is none
	Measured    *Measured
}

// Measured is what a module did when it was tried.
type Measured struct {
	InitFuel int64 // of initialisation

	Called bool          // it was called once, on empty inputs
	Limits engine.Limits // of that call
	Usage  engine.Usage
	Fault  *engine.Fault // how it ended; nil: well
}

// Bounds of the call that a report makes.
const (
	triedFuel = 1_000_000_000
	triedTime = time.Second
)

// Report looks at a module as registration does, but to the end: it tells all
// reasons for which the module is refused. A module that is not refused is
// compiled, initialised and called once on empty inputs, in isolation like any
// other call; what is kept of compiling elsewhere is neither used nor made.
//
// The error is the platform's own, or ctx's: a module is never too bad for a
// report.
func (e *Engine) Report(ctx context.Context, code []byte, opts ReportOptions) (*Report, error) {
	if opts.Maximum == (engine.Limits{}) {
		opts.Maximum = engine.MaxLimits()
	}
	survey := binary.Explore(code, e.config.Caps)
	static, err := report.Of(survey)
	if err != nil {
		return nil, fmt.Errorf("report on a module: %w", err)
	}
	r := &Report{Module: static, More: survey.More, Broken: survey.Broken != nil}
	for _, limit := range survey.Limits {
		r.refuse(rejectDecoding(limit))
	}
	if survey.Broken != nil {
		r.refuse(rejectDecoding(survey.Broken))
	}
	m := newModule(survey.Module)
	if r.Broken {
		// What is there is wrong whatever follows; what is missing may follow.
		_ = m.checkImports(r.refuse) && m.readManifest(r.refuse)
	} else {
		m.refusals(r.refuse)
		static.Entries(exportStart, exportInitialize)
	}
	r.Manifest, r.Layout, r.Initializes = m.manifest, m.Layout, m.Initializes
	r.Limits = opts.Limits.Or(m.manifest.Limits).Or(engine.DefaultLimits())
	if r.Signature = m.manifest.Signature(); opts.Signature != nil {
		r.Signature = *opts.Signature
	}
	if r.Broken {
		return r, nil
	}
	r.checkLimits(m, opts.Maximum)
	metered, err := e.reportMetering(r, m, survey)
	if err != nil || len(r.Refusals) > 0 {
		return r, err
	}
	return r, e.try(ctx, r, m, metered, opts.NoRun)
}

func (r *Report) refuse(refused *engine.RejectedError) (more bool) {
	r.Refusals = append(r.Refusals, refused)
	return true
}

// refused takes an error that says that the module is refused, and gives all
// others back.
func (r *Report) refused(err error) error {
	var refused *engine.RejectedError
	if errors.As(err, &refused) {
		r.refuse(refused)
		return nil
	}
	return err
}

// checkLimits tells what the limits do not allow.
func (r *Report) checkLimits(m *module, maximum engine.Limits) {
	memory := engine.Inspection{Memory: int64(m.initial())}
	for refused := range memory.Refusals(r.Limits, maximum) {
		r.refuse(refused)
	}
	told := int64(m.initial()) > int64(r.Limits.Memory) // which is the first that unfit gives, too
	m.unfit(r.Limits, func(refused *engine.RejectedError) bool {
		if !told {
			r.refuse(refused)
		}
		told = false
		return true
	})
}

// reportMetering rewrites the module, if it can be, and tells what follows from that.
func (e *Engine) reportMetering(r *Report, m *module, survey *binary.Survey) (*meter.Metered, error) {
	if survey.Err() != nil || m.decoded.ImportedFuncs+m.decoded.ImportedTables+m.decoded.ImportedGlobals > 0 {
		return nil, nil
	}
	metered, err := e.meter(m)
	if err != nil {
		return nil, r.refused(err)
	}
	class := e.config.Class
	r.Metered, r.Image, r.NoImage, r.Here = true, metered.Image, metered.NoImage, e.here(metered)
	if e.config.NoImages {
		r.NoImage = "it is turned off"
	}
	for i, size := range metered.Sizes {
		r.Functions[i].Child = class.above(size)
	}
	switch {
	case r.Here:
	case len(metered.Code) > class.Code:
		r.Child = fmt.Sprintf("the module has %d bytes once it is metered; the most is %d", len(metered.Code), class.Code)
	case metered.Work > class.Work:
		r.Child = fmt.Sprintf("the work of compiling it is estimated at %d; the most is %d", metered.Work, class.Work)
	default:
		r.Child = "some functions are too large"
	}
	return metered, nil
}

// try compiles a module, and initialises and calls it unless that is not wanted.
func (e *Engine) try(ctx context.Context, r *Report, m *module, metered *meter.Metered, noRun bool) error {
	runnable := m.runnable(metered)
	p, f, err := e.build(ctx, runnable, r.Signature, r.Limits, r.Here)
	defer f.remove()
	r.MaxStack = runnable.Facts.MaxStack
	if err != nil {
		return r.refused(err)
	}
	r.Compiled = true
	r.Initialized = !m.Initializes
	if !noRun {
		err = e.measure(ctx, r, p, dataOf(m.decoded))
	}
	return errors.Join(err, p.Close())
}

// measure initialises a program and calls it on empty inputs: sets without
// items, or with one empty item where there must be one.
func (e *Engine) measure(ctx context.Context, r *Report, p *Program, segments []run) error {
	r.Measured = new(Measured)
	_, err := p.prepare(ctx, segments, r.Limits)
	r.Measured.InitFuel = p.initFuel
	if err != nil {
		return r.refused(err)
	}
	r.Initialized = true
	var in []data.Set
	for _, param := range r.Signature.Inputs {
		set := data.Set{Name: param.Name}
		if param.Type == engine.TypeItem {
			set.Items = []*data.Item{data.NewItem("", 0, nil)}
		}
		in = append(in, set)
	}
	lim := r.Limits
	lim.Timeout = min(lim.Timeout, engine.Duration(triedTime))
	if lim.Fuel == 0 || lim.Fuel > triedFuel {
		lim.Fuel = triedFuel
	}
	r.Measured.Called, r.Measured.Limits = true, lim
	result, err := p.Run(ctx, in, lim)
	r.Measured.Usage = result.Usage
	if err == nil {
		result.Release()
		return nil
	}
	if !errors.As(err, &r.Measured.Fault) || ctx.Err() != nil {
		return err
	}
	r.Measured.Usage = r.Measured.Fault.Usage
	return nil
}
