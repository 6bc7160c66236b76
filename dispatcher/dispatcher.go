package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// Functions is what a dispatcher needs of a registry.
type Functions interface {
	// Put stores a version durably. See registry.Registry.Put.
	Put(ctx context.Context, r registry.Registration) (v *registry.Version, created bool, err error)
	// Resolve finds a version.
	Resolve(ctx context.Context, tenant string, ref registry.Ref) (*registry.Version, error)
	// ResolveAll finds versions, and all that compositions among them apply.
	ResolveAll(ctx context.Context, tenant string, refs ...registry.Ref) ([]*registry.Resolved, error)
	// Versions returns the versions of a name.
	Versions(ctx context.Context, tenant string, kind registry.Kind, name, cursor string, limit int) (page []*registry.Version, next string, err error)
	// List returns functions or compositions in the order of their names.
	List(ctx context.Context, tenant string, kind registry.Kind, cursor string, limit int) (page []*registry.Version, next string, err error)
	// Code reads the code of that digest, checked.
	Code(ctx context.Context, tenant string, digest data.Digest) ([]byte, error)
}

var _ Functions = (*registry.Registry)(nil)

// bodyShare is the part of the memory budget that bodies have: one in that many.
const bodyShare = 4

// Dispatcher runs functions. It is safe for concurrent use.
type Dispatcher struct {
	config   atomic.Pointer[Config] // replaced by Reload
	reg      Functions
	engines  []engine.Engine
	place    placement
	costs    costs
	log      *slog.Logger
	metrics  *metrics
	permits  *permits
	bodies   *Budget
	programs *programs
	graphs   graphs
	records  records

	remembering remembering

	running atomic.Int64 // runs of compositions that are going on
	io      ioFunctions
	ioPool  *ioPool

	reloading  sync.Mutex
	inspecting chan struct{} // holds a value for each inspection that is going on

	closing atomic.Bool
	calls   atomic.Int64  // Publish and Invoke that are going on
	idle    chan struct{} // gets a value when the last call ends while closing
}

// New makes a dispatcher over engines, in the order of preference. Engines and
// reg stay the caller's, who closes them after the dispatcher. Maximum.Memory
// is lowered to what the memory budget has for one context.
func New(cfg Config, reg Functions, engines []engine.Engine, registerer prometheus.Registerer, log *slog.Logger) (*Dispatcher, error) {
	cfg, lowered, err := cfg.settle()
	if err != nil {
		return nil, err
	}
	if lowered {
		cfg.tellLowered(log)
	}
	if len(engines) == 0 {
		return nil, errors.New("a dispatcher needs an engine")
	}
	bodies, contexts := cfg.shares()
	m, collectors := newMetrics(engines)
	io, ioCollectors, err := newIOFunctions(cfg.IOFunctions)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{
		reg:      reg,
		engines:  engines,
		log:      log,
		metrics:  m,
		permits:  newPermits(cfg, contexts),
		bodies:   newBudget("body", bodies, cfg.QueueTimeout, cfg.Waiting),
		programs: newPrograms(cfg, reg, log, m.compiled),
		io:       io,
		ioPool:   newIOPool(cfg.IO),
		idle:     make(chan struct{}, 1),

		remembering: remembering{memo: cfg.Memo, verifying: make(chan struct{}, 1)},

		inspecting: make(chan struct{}, cfg.CompileWorkers),
	}
	d.place = d.costs.cheapest
	d.config.Store(&cfg)
	if cfg.Memo != nil {
		collectors = append(collectors, newMemoMetrics(cfg.Memo))
	}
	if err := register(registerer, append(collectors, ioCollectors...), d); err != nil {
		return nil, err
	}
	return d, nil
}

// Resolve finds the version that ref names. One of kind registry.KindIO stands for
// an I/O function.
func (d *Dispatcher) Resolve(ctx context.Context, tenant string, ref registry.Ref) (*registry.Version, error) {
	if registry.Reserved(ref.Name) {
		io, err := d.io.resolve(ref)
		if err != nil {
			return nil, err
		}
		return io.version, nil
	}
	return d.reg.Resolve(ctx, tenant, ref)
}

// Memory is the part of the memory budget that bodies in flight are charged to.
// Contexts and unread answers are charged by Invoke and Answer.Release.
func (d *Dispatcher) Memory() *Budget { return d.bodies }

// Ready reports why no invocation can be accepted, or nil.
func (d *Dispatcher) Ready() error {
	if d.closing.Load() {
		return ErrClosed
	}
	return nil
}

// Close refuses new work, waits until what was accepted has ended, and closes
// all programs. When ctx ends first, waiting work is refused, instances are
// stopped at their next slice boundary, and the error is ctx's. Answers that
// are not released stay valid.
func (d *Dispatcher) Close(ctx context.Context) error {
	if d.closing.Swap(true) {
		return ErrClosed
	}
	var err error
	if d.calls.Load() > 0 {
		select {
		case <-d.idle:
		case <-ctx.Done():
			err = fmt.Errorf("stop what still runs: %w", context.Cause(ctx))
			d.permits.stop()
			d.ioPool.end()
			d.programs.stop()
			if d.calls.Load() > 0 {
				<-d.idle
			}
		}
	}
	d.ioPool.end()
	return errors.Join(err, d.programs.close())
}

// enter counts a call in, and fails when the dispatcher closes. The caller
// calls leave if it did not fail.
func (d *Dispatcher) enter() error {
	d.calls.Add(1)
	if d.closing.Load() {
		d.leave()
		return overload("the server is shutting down; try again elsewhere or later", ErrClosed)
	}
	return nil
}

// Calls is how many calls of Invoke and Publish have not returned, also of those
// that wait.
func (d *Dispatcher) Calls() int64 { return max(d.calls.Load()-d.remembering.runs.Load(), 0) }

func (d *Dispatcher) leave() {
	if d.calls.Add(-1) == 0 && d.closing.Load() {
		select {
		case d.idle <- struct{}{}:
		default:
		}
	}
}
