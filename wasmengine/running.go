package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"

	"pappus/engine"
	"pappus/wasmengine/abi"
	"pappus/wasmengine/meter"
)

// running is the context of a call as wazero sees it. It carries the call's
// own state to the host function without allocating.
type running struct {
	context.Context // of the caller

	scheduler engine.Scheduler
	deadline  time.Time
	limit     int64 // fuel; math.MaxInt64 for none
	most      int64 // fuel of a slice
	slice     int64 // fuel of the next one
	resumed   time.Time
	granted   int64 // fuel handed out so far
	parked    time.Duration
	stopped   error // why the platform ended the call: a fault, or engine.ErrDropped
}

type runningKey struct{}

// Value gives the call itself to the host function, and the caller's values to
// everyone else.
func (r *running) Value(key any) any {
	if key == (runningKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// errStopped is what the host function panics with to leave the guest.
var errStopped = errors.New("stopped by the platform")

// nextSlice is the host function that metered code calls when its counter has
// run out: it takes the counter and returns the next one.
func nextSlice(ctx context.Context, stack []uint64) {
	r := ctx.Value(runningKey{}).(*running) //nolint:errcheck // only run calls a guest, and with this value
	next, err := r.next(int64(stack[0]))
	if err != nil {
		r.stopped = err
		panic(errStopped) //nolint:forbidigo // how wazero has a host function leave the guest; it becomes an error there
	}
	stack[0] = uint64(next)
}

// next decides at a slice boundary whether the call goes on. The first check
// at which the fuel used exceeds the limit ends it, whatever the slices were.
func (r *running) next(counter int64) (int64, error) {
	used := r.granted - counter
	if used > r.limit {
		return 0, &engine.Fault{Kind: engine.FaultOutOfFuel, Detail: fmt.Sprintf("it used more than its limit of %d", r.limit)}
	}
	if err := r.Err(); err != nil {
		return 0, r.canceled(err)
	}
	now := time.Now()
	if !now.Before(r.deadline) {
		return 0, timedOut()
	}
	r.adapt(now.Sub(r.resumed))
	r.resumed = now
	if r.scheduler != nil {
		parked, err := r.scheduler.Yield(r.Context, r.deadline)
		r.parked += parked
		r.resumed = time.Now()
		if err != nil {
			return 0, r.refused(err)
		}
	}
	next := min(r.slice, r.limit-used)
	r.granted = used + next
	return next, nil
}

// grow asks for a memory of so many bytes. It does nothing outside of calls.
func (r *running) grow(bytes int64) error {
	if r.scheduler == nil {
		return nil
	}
	parked, err := r.scheduler.Grow(r.Context, bytes, r.deadline)
	if err != nil {
		return r.refused(err)
	}
	if parked > 0 {
		r.parked += parked
		r.resumed = r.resumed.Add(parked) // the slice has not become longer by it
	}
	return nil
}

// refused is what an error of the scheduler means for the call.
func (r *running) refused(err error) error {
	switch {
	case errors.Is(err, engine.ErrDropped), engine.KindOf(err) != "":
		return err
	case errors.Is(err, context.DeadlineExceeded) && r.Err() == nil:
		return timedOut()
	default:
		return r.canceled(err)
	}
}

// Slices begin small and become larger while they are short in time. Fuel counts
// instructions, and some take a thousand times as long as others: those that
// touch a new page of memory, or go back in a loop with thousands of locals.
// Nothing can stop a slice, so the one after a long one is so much smaller.
const (
	firstSlice = 25_000                 // fuel
	longSlice  = 500 * time.Microsecond // from there on they shrink
)

// adapt chooses the size of the next slice from how long the last one took.
func (r *running) adapt(took time.Duration) {
	switch {
	case took > longSlice:
		r.slice = max(int64(float64(r.slice)*float64(longSlice)/float64(took)), 1)
	case took < longSlice/4:
		r.slice = min(2*r.slice, r.most)
	}
}

func timedOut() *engine.Fault {
	return &engine.Fault{Kind: engine.FaultDeadline, Detail: "it ran longer than its timeout"}
}

// canceled is a fault of the caller: its own deadline, or that it went away.
func (r *running) canceled(err error) *engine.Fault {
	if errors.Is(err, context.DeadlineExceeded) {
		return &engine.Fault{Kind: engine.FaultDeadline, Detail: "the caller's deadline passed", Err: err}
	}
	return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away", Err: err}
}

// call runs one exported function under the limits and tells what it used. The
// error is wazero's, or the fault for which the platform stopped it.
func (i *instance) call(ctx context.Context, f api.Function, lim engine.Limits) (engine.Usage, error) {
	r := &i.run
	start := time.Now()
	*r = running{
		Context:   ctx,
		scheduler: engine.SchedulerOf(ctx),
		deadline:  start.Add(time.Duration(lim.Timeout)),
		resumed:   start,
		limit:     lim.Fuel,
		most:      i.program.engine.config.Slice,
		slice:     min(i.program.engine.config.Slice, firstSlice),
	}
	if r.limit == 0 {
		r.limit = math.MaxInt64
	}
	r.granted = min(r.slice, r.limit)
	i.fuel.Set(uint64(r.granted))
	i.stack.Set(uint64(lim.Stack))

	err := f.CallWithStack(r, nil) //nolint:contextcheck // r is ctx with more values

	usage := engine.Usage{Fuel: r.granted - int64(i.fuel.Get()), Run: time.Since(start), Parked: r.parked}
	stopped := r.stopped
	limit := r.limit
	*r = running{} // an idle instance must not keep the caller's context alive
	switch {
	case stopped != nil:
		if fault := (*engine.Fault)(nil); errors.As(stopped, &fault) {
			fault.Stack = i.program.sources.show(stackOf(err))
		}
		return usage, stopped
	case usage.Fuel > limit:
		return usage, &engine.Fault{Kind: engine.FaultOutOfFuel, Detail: fmt.Sprintf("it used %d, and its limit is %d", usage.Fuel, limit)}
	default:
		return usage, err
	}
}

// What wazero calls the traps that mean something to the platform.
const (
	trapPrefix      = "wasm error: "
	trapUnreachable = "unreachable"
	trapStack       = "stack overflow"
	stackHeader     = "wasm stack trace:"
)

// verdict turns the end of a call into nil or a fault. Only `unreachable` with
// an exit code that was set is an exit; every other trap is a fault whatever
// the exit code says.
func verdict(err error, code int32, i *instance) error {
	var stopped *engine.Fault
	switch {
	case err == nil:
		return exited(code)
	case errors.As(err, &stopped):
		return stopped
	case errors.Is(err, engine.ErrDropped):
		return err
	}
	cause, _, _ := strings.Cut(err.Error(), "\n")
	cause, isTrap := strings.CutPrefix(cause, trapPrefix)
	switch {
	case i.program.engine.config.Interpreter && int64(i.stack.Get()) >= 0 && cause == trapStack:
		return ErrTooDeep
	case int64(i.stack.Get()) < 0 || cause == trapStack:
		return &engine.Fault{Kind: engine.FaultOutOfStack, Detail: "its calls nest deeper than its stack limit", Stack: i.program.sources.show(stackOf(err))}
	case !isTrap:
		return fmt.Errorf("run a module: %w", err)
	case cause == trapUnreachable && code != abi.ExitNever:
		return exited(code)
	default:
		return &engine.Fault{Kind: engine.FaultTrap, Detail: cause, Stack: i.program.sources.show(stackOf(err))}
	}
}

// exitOutOfMemory is the code with which the SDKs' allocators give up.
const exitOutOfMemory = 259

// exitMeanings are the codes with which the SDKs' runtimes end a function.
var exitMeanings = map[int32]string{
	abi.ExitNever:   "it returned without setting an exit code",
	256:             "its runtime was not initialised",
	257:             "its heap was damaged: an allocation overlaps another",
	258:             "its heap was damaged: a block was freed twice",
	exitOutOfMemory: "its allocator ran out of memory; raise the memory limit",
}

func exited(code int32) error {
	if code == 0 {
		return nil
	}
	kind := engine.FaultExit
	if code == exitOutOfMemory {
		kind = engine.FaultOutOfMemory
	}
	return &engine.Fault{Kind: kind, ExitCode: code, Detail: exitMeanings[code]}
}

// ErrTooDeep is returned by Run with Config.Interpreter when calls nest deeper
// than the interpreter can follow. It says nothing of the function: compiled,
// the same call ends within its stack limit or at it.
var ErrTooDeep = errors.New("calls nest deeper than the interpreter's 2,000 frames")

// maxCall is how many bytes of a guest function's name a stack shows.
const maxCall = 200

// sliceCall is how a stack shows the call of nextSlice, which is not the
// guest's.
const sliceCall = meter.ImportModule + "." + meter.ImportName + "("

// stackOf is the guest's calls in an error of wazero, innermost first. The
// names are the guest's own: they may hold anything.
func stackOf(err error) []frame {
	if err == nil {
		return nil
	}
	_, trace, ok := strings.Cut(err.Error(), stackHeader)
	if !ok {
		return nil
	}
	var calls []frame
	for line := range strings.Lines(trace) {
		if offset, ok := positionOf(line); ok {
			if len(calls) > 0 && calls[len(calls)-1].offset == 0 {
				calls[len(calls)-1].offset = offset
			}
			continue
		}
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, sliceCall) {
			continue
		}
		line = strings.TrimPrefix(line, ".") // between the name of the instance, which has none, and that of the function
		calls = append(calls, frame{call: shown(line)})
	}
	return calls
}

// printable replaces what could move a terminal's cursor or is not UTF-8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
