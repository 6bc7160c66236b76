package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"
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

	// Implementations is code for several engines, by their names, in place of Code.
	// All must give the same outputs; that is not looked at.
	Implementations map[string][]byte

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
	implementations, err := d.implementations(pub, config.MaxCode)
	if err != nil {
		return nil, false, err
	}
	for i := range implementations {
		if implementations[i].known, err = d.inspect(ctx, implementations[i].engine, implementations[i].code); err != nil {
			return nil, false, fmt.Errorf("inspect %s: %w", pub.Name, implementations[i].blamed(err, len(implementations)))
		}
	}
	reg, err := d.merge(config, pub, implementations)
	if err != nil {
		return nil, false, err
	}
	reg.Code, reg.Digests = make(map[string][]byte, len(implementations)), make(map[string]data.Digest, len(implementations))
	for i := range implementations {
		im := &implementations[i]
		digest := data.Sum(im.code)
		reg.Code[im.engine.Name()], reg.Digests[im.engine.Name()] = im.code, digest
		if im.key, err = keyOf(pub.Tenant, im.engine, digest, reg.Signature, reg.Limits); err != nil {
			return nil, false, err
		}
	}
	// The code goes to the disk while it is prepared. It is of use to nobody, and
	// goes again, if that fails.
	prepared := make(chan error, 1)
	go func() { prepared <- d.prepareNew(ctx, reg, implementations) }()
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

// implementation is code for one engine.
type implementation struct {
	engine engine.Engine
	code   []byte
	known  engine.Inspection
	key    programKey
}

// blamed says which implementation an error is about, if there are several.
func (im *implementation) blamed(err error, of int) error {
	if of == 1 {
		return err
	}
	var rejected *engine.RejectedError
	if errors.As(err, &rejected) {
		r := *rejected
		r.Reason, r.Err = "its code for the engine "+im.engine.Name()+": "+r.Reason, err
		return &r
	}
	return fmt.Errorf("its code for the engine %s: %w", im.engine.Name(), err)
}

// implementations finds the engine of each piece of code, in the order of
// preference.
func (d *Dispatcher) implementations(pub Publication, limit int64) ([]implementation, error) {
	if pub.Implementations == nil {
		if err := checkSize(pub.Code, limit); err != nil {
			return nil, err
		}
		e, err := d.engineFor(pub.Code, pub.ContentType)
		if err != nil {
			return nil, err
		}
		return []implementation{{engine: e, code: pub.Code}}, nil
	}
	var list []implementation
	for _, e := range d.engines {
		code, ok := pub.Implementations[e.Name()]
		if !ok {
			continue
		}
		if err := checkSize(code, limit); err != nil {
			return nil, err
		}
		list = append(list, implementation{engine: e, code: code})
	}
	if len(list) == len(pub.Implementations) && len(list) > 0 {
		return list, nil
	}
	for _, name := range slices.Sorted(maps.Keys(pub.Implementations)) {
		if !slices.ContainsFunc(d.engines, func(e engine.Engine) bool { return e.Name() == name }) {
			return nil, fmt.Errorf("%w: there is code for the engine %.40q; this server has %s", ErrUnknownCode, name, strings.Join(d.Engines(), ", "))
		}
	}
	return nil, fmt.Errorf("%w: there is no code", ErrUnknownCode)
}

// Engines are the names of the engines, in the order of preference.
func (d *Dispatcher) Engines() []string {
	names := make([]string, len(d.engines))
	for i, e := range d.engines {
		names[i] = e.Name()
	}
	return names
}

func checkSize(code []byte, limit int64) error {
	if size := int64(len(code)); size > limit {
		return &TooLargeError{What: "code", Size: size, Limit: limit}
	}
	return nil
}

// prepareNew prepares code that is being published, one implementation after the
// other. It stays loaded for the first invocation.
func (d *Dispatcher) prepareNew(ctx context.Context, reg registry.Registration, list []implementation) error {
	for i := range list {
		im := &list[i]
		p, err := d.programs.load(ctx, im.key, func(ctx context.Context) (engine.Program, error) {
			return im.engine.Prepare(ctx, im.code, reg.Signature, reg.Limits)
		})
		if err != nil {
			return fmt.Errorf("prepare it: %w", im.blamed(err, len(list)))
		}
		d.programs.release(p)
	}
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
// manifests and the operator say, in this order. Manifests of several
// implementations must not contradict one another: the first that says anything
// of the sets, or of the memo, speaks for all.
func (d *Dispatcher) merge(c *Config, pub Publication, list []implementation) (registry.Registration, error) {
	reg := registry.Registration{
		Tenant: pub.Tenant, Name: pub.Name,
		Signature: engine.OpenSignature(), Limits: pub.Limits, Memo: pub.Memo,
		Tags:  pub.Tags,
		Force: pub.Force,
	}
	for i := range list {
		m := &list[i].known.Manifest
		if sig := m.Signature(); reg.Signature.Open {
			reg.Signature = sig
		} else if !pub.HasSignature && !sig.Open && !reflect.DeepEqual(sig, reg.Signature) {
			return reg, &engine.RejectedError{
				Reason: "the manifest of its code for the engine " + list[i].engine.Name() + " has other sets than that for the engine " + list[0].engine.Name(),
				Hint:   "give both the same manifest, or the sets in the request",
			}
		}
		reg.Limits = reg.Limits.Or(m.Limits)
		reg.Layout = cmp.Or(reg.Layout, list[i].known.Layout)
		reg.Memo = cmp.Or(reg.Memo, m.Memo)
		reg.Description = cmp.Or(reg.Description, m.Description)
	}
	reg.Limits = reg.Limits.Or(c.Defaults)
	reg.Memo = cmp.Or(reg.Memo, engine.MemoAuto)
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
	for i := range list {
		for refused := range list[i].known.Refusals(reg.Limits, c.Maximum) {
			return reg, list[i].blamed(refused, len(list))
		}
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
