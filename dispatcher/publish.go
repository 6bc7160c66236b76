package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// Publication is code that is to become a version of a function.
type Publication struct {
	Tenant, Name string
	Code         []byte
	ContentType  string // of the code; missing or generic ones are found out from the code

	// With HasSignature, Inputs and Outputs are the whole signature; without
	// it the code's manifest says, and without a manifest it is open.
	HasSignature    bool
	Inputs, Outputs []engine.Param

	Limits engine.Limits // zero ones are the manifest's, or the operator's defaults
	Memo   string        // engine.MemoAuto or MemoOff; "" is the manifest's, or MemoAuto
	Tags   []string      // that are to name the version; none: latest
	Force  bool          // also where that breaks compositions
}

// Publish verifies and prepares code and stores it as a version of the
// function; the version is durable when Publish returns. The same code with
// the same settings is the version that exists, and created is false.
//
// Errors wrap ErrUnknownCode, or are *TooLargeError, *InputError for what the
// request says, *engine.RejectedError for what the code is, faults overload and
// canceled, and those of registry.Registry.Put.
func (d *Dispatcher) Publish(ctx context.Context, pub Publication) (v *registry.Version, created bool, err error) {
	if err := d.enter(); err != nil {
		return nil, false, err
	}
	defer d.leave()
	if err := registry.CheckName(pub.Name); err != nil {
		return nil, false, fmt.Errorf("publish: %w", err)
	}
	config := d.config.Load()
	if size := int64(len(pub.Code)); size > config.MaxCode {
		return nil, false, &TooLargeError{What: "code", Size: size, Limit: config.MaxCode}
	}
	e, err := d.engineFor(pub.Code, pub.ContentType)
	if err != nil {
		return nil, false, err
	}
	known, err := d.inspect(ctx, e, pub.Code)
	if err != nil {
		return nil, false, fmt.Errorf("inspect %s: %w", pub.Name, err)
	}
	reg, err := d.merge(config, pub, known)
	if err != nil {
		return nil, false, err
	}
	digest := data.Sum(pub.Code)
	reg.Code, reg.Digests = map[string][]byte{e.Name(): pub.Code}, map[string]data.Digest{e.Name(): digest}
	key, err := keyOf(pub.Tenant, e, digest, reg.Signature, reg.Limits)
	if err != nil {
		return nil, false, err
	}
	// The code goes to the disk while it is prepared. It is of use to nobody, and
	// goes again, if that fails.
	prepared := make(chan error, 1)
	work := func(ctx context.Context) (engine.Program, error) {
		return e.Prepare(ctx, pub.Code, reg.Signature, reg.Limits)
	}
	go func() { prepared <- d.prepareNew(ctx, key, work) }()
	waited := false
	approved := reg
	approved.Approve = func() error {
		waited = true
		return <-prepared
	}
	v, created, err = d.reg.Put(ctx, approved)
	if !waited {
		if prepareErr := <-prepared; prepareErr != nil {
			err = prepareErr // it says more of the code than that it was not stored
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("publish %s: %w", pub.Name, err)
	}
	return v, created, nil
}

// prepareNew prepares code that is being published. It stays loaded for the first
// invocation.
func (d *Dispatcher) prepareNew(ctx context.Context, key programKey, prepare func(context.Context) (engine.Program, error)) error {
	p, err := d.programs.load(ctx, key, prepare)
	if err != nil {
		return fmt.Errorf("prepare it: %w", err)
	}
	d.programs.release(p)
	return nil
}

// inspect has the engine look at code when it is its turn: looking takes memory
// in proportion to the code, but many times as much.
func (d *Dispatcher) inspect(ctx context.Context, e engine.Engine, code []byte) (engine.Inspection, error) {
	wait := d.config.Load().QueueTimeout
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case d.inspecting <- struct{}{}:
	case <-ctx.Done():
		return engine.Inspection{}, gone(ctx)
	case <-timer.C:
		return engine.Inspection{}, overload(fmt.Sprintf("the code could not be looked at within %s; try again later", wait), nil)
	}
	defer func() { <-d.inspecting }()
	return e.Inspect(code)
}

// engineFor finds the engine for code: the one that its type says, or, where
// that says nothing, the one that recognises it.
func (d *Dispatcher) engineFor(code []byte, contentType string) (engine.Engine, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, fmt.Errorf("%w: its Content-Type %.80q can't be read", ErrUnknownCode, contentType)
	}
	name := ""
	switch media {
	case "application/wasm":
		name = "wasm"
	case "application/x-elf", "application/x-executable":
		name = "chericap"
	case "", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded":
		for _, e := range d.engines {
			if e.Recognizes(code) {
				return e, nil
			}
		}
		return nil, fmt.Errorf("%w: it does not begin as any code that one knows", ErrUnknownCode)
	}
	for _, e := range d.engines {
		if e.Name() == name {
			return e, nil
		}
	}
	return nil, fmt.Errorf("%w: its Content-Type is %.80q", ErrUnknownCode, media)
}

// merge makes a registration, without the code, of what the request, the
// manifest and the operator say, in this order.
func (d *Dispatcher) merge(c *Config, pub Publication, known engine.Inspection) (registry.Registration, error) {
	m := known.Manifest
	reg := registry.Registration{
		Tenant: pub.Tenant, Name: pub.Name,
		Signature:   m.Signature(),
		Limits:      pub.Limits.Or(m.Limits).Or(c.Defaults),
		Layout:      known.Layout,
		Memo:        cmp.Or(pub.Memo, m.Memo, engine.MemoAuto),
		Description: m.Description,
		Tags:        pub.Tags,
		Force:       pub.Force,
	}
	if pub.HasSignature {
		reg.Signature = engine.Signature{Inputs: orEmpty(pub.Inputs), Outputs: orEmpty(pub.Outputs)}
		if err := reg.Signature.Check(); err != nil {
			return reg, &InputError{Reason: "signature: " + err.Error(), Err: err}
		}
	}
	if reg.Memo != engine.MemoAuto && reg.Memo != engine.MemoOff {
		return reg, &InputError{Reason: fmt.Sprintf("memo is %.40q; it can be %q or %q", reg.Memo, engine.MemoAuto, engine.MemoOff)}
	}
	if err := pub.Limits.Check(c.Maximum); err != nil {
		return reg, &InputError{Reason: err.Error(), Err: err}
	}
	for refused := range known.Refusals(reg.Limits, c.Maximum) {
		return reg, refused
	}
	return reg, nil
}

// orEmpty makes "no sets" explicit, so that a signature has one spelling.
func orEmpty(params []engine.Param) []engine.Param {
	if params == nil {
		return []engine.Param{}
	}
	return params
}
