package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"

	"pappus/engine"
	"pappus/engine/abi"
	"pappus/engine/slice"
	"pappus/wasmengine/meter"
)

// running is the context of a call as wazero sees it. It carries the call's
// own state to the host function without allocating.
type running struct {
	context.Context // of the caller

	slices  slice.Run
	stopped error // why the platform ended the call: a fault, or engine.ErrDropped
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
	next, err := r.slices.Next(r.slices.Granted() - int64(stack[0]))
	if err != nil {
		r.stopped = err
		panic(errStopped) //nolint:forbidigo // how wazero has a host function leave the guest; it becomes an error there
	}
	stack[0] = uint64(next)
}

// call runs one exported function under the limits and tells what it used. The
// error is wazero's, or the fault for which the platform stopped it.
func (i *instance) call(ctx context.Context, f api.Function, lim engine.Limits) (engine.Usage, error) {
	r := &i.run
	*r = running{Context: ctx}
	i.fuel.Set(uint64(r.slices.Begin(ctx, lim, i.program.engine.config.Slice)))
	i.stack.Set(uint64(lim.Stack))

	err := f.CallWithStack(r, nil) //nolint:contextcheck // r is ctx with more values

	usage := r.slices.Usage(r.slices.Granted() - int64(i.fuel.Get()))
	stopped, overrun := r.stopped, r.slices.CheckFuel(usage.Fuel)
	*r = running{} // an idle instance must not keep the caller's context alive
	switch {
	case stopped != nil:
		if fault := (*engine.Fault)(nil); errors.As(stopped, &fault) {
			return usage, i.trace(ctx, fault, err)
		}
		return usage, stopped
	case overrun != nil:
		return usage, overrun
	default:
		return usage, err
	}
}

// trace adds the guest's calls, which are in an error of wazero, to a fault. If the
// caller goes away while that waits for others, that is the fault instead: one that is
// remembered must not lack lines because of who waited.
func (i *instance) trace(ctx context.Context, fault *engine.Fault, err error) *engine.Fault {
	calls, gone := i.program.sources.show(ctx, stackOf(err))
	if gone != nil {
		fault = slice.Canceled(gone)
	}
	fault.Stack = calls
	return fault
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
func verdict(ctx context.Context, err error, code int32, i *instance) error {
	var stopped *engine.Fault
	switch {
	case err == nil:
		return abi.Exited(code)
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
		return i.trace(ctx, &engine.Fault{Kind: engine.FaultOutOfStack, Detail: "its calls nest deeper than its stack limit"}, err)
	case !isTrap:
		return fmt.Errorf("run a module: %w", err)
	case cause == trapUnreachable && code != abi.ExitNever:
		return abi.Exited(code)
	default:
		return i.trace(ctx, &engine.Fault{Kind: engine.FaultTrap, Detail: cause}, err)
	}
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
