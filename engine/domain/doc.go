// Package domain is the memory domain: it hands out contexts, reserved regions
// of address space that back a function's linear memory, and takes them back
// sanitised.
//
// It owns reservation, pooling, images that regions start from, and
// sanitising. A region that Pool.Get returns reads as zero in every byte,
// whoever used it before. The package knows nothing of WebAssembly, of engines
// or of the rest of the project; it needs Linux: files of memory, and an
// MADV_DONTNEED that gives zero pages.
//
// With the build tag invariants every sanitised region is scanned, and a byte
// that is not as it was at first is a panic.
//
// Lock order: a Pool has one mutex and calls nobody while it holds it.
package domain
