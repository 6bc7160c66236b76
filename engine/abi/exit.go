package abi

import (
	"bytes"
	"fmt"

	"pappus/engine"
)

// exitOutOfMemory is the code with which the SDKs' allocators give up.
const exitOutOfMemory = 259

// exitMeanings are the codes with which the SDKs' runtimes end a function.
var exitMeanings = map[int32]string{
	ExitNever:       "it returned without setting an exit code",
	256:             "its runtime was not initialised",
	257:             "its heap was damaged: an allocation overlaps another",
	258:             "its heap was damaged: a block was freed twice",
	exitOutOfMemory: "its allocator ran out of memory; raise the memory limit",
}

// Exited is what an exit code means for a function that came to its end: nil, or
// a fault.
func Exited(code int32) error {
	if code == 0 {
		return nil
	}
	kind := engine.FaultExit
	if code == exitOutOfMemory {
		kind = engine.FaultOutOfMemory
	}
	return &engine.Fault{Kind: kind, ExitCode: code, Detail: exitMeanings[code]}
}

// AddStderr completes a fault with what the function has written to stderr, if
// it left anything readable.
func (w Word) AddStderr(f *engine.Fault, mem []byte, system uint64, sig engine.Signature, outputs []string, lim engine.Limits) {
	const stdio, stderr = "stdio", "stderr"
	set := sig.Output(stdio)
	if set < 0 || f.Kind == engine.FaultBadOutput {
		return
	}
	sets, err := w.Outputs(mem, system, outputs, lim)
	if err != nil {
		return
	}
	for _, it := range sets[set].Items {
		if it.Name() == stderr {
			b := it.Bytes()
			f.Stderr = bytes.Clone(b[max(0, len(b)-engine.StderrTail):])
		}
	}
}

// TooSmall is the fault of inputs that take need bytes where there is room for
// less.
func TooSmall(need, room int64) *engine.Fault {
	return &engine.Fault{
		Kind:   engine.FaultOutOfMemory,
		Detail: fmt.Sprintf("the inputs take %d bytes of memory, and there is room for %d; send less or raise the memory limit", need, room),
	}
}
