// Package meter rewrites WebAssembly modules so that they count what they use
// and can be stopped: fuel, call stack and bulk operations.
//
// It owns fuel model 1 (docs/fuel.md), the accounting of stack frames, and the
// shape of a rewritten module. It knows wasmengine/binary, and
// wasmengine/canon, which says where NaNs are made canonical and how; it does
// not run modules.
//
// A rewritten module gives the same results and traps as the original, with
// canonical NaNs in place of any others that arithmetic makes, and charges the
// same fuel for the same inputs whatever the size of the slices that its host
// grants.
package meter
