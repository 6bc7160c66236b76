// Package abi reads and writes the binary interface of functions on wasm32:
// the system struct, the arrays of sets and items, and the bytes of items in a
// function's linear memory.
//
// It owns the layout of these structures, where inputs are placed, and the
// checks on what a function leaves. It works on plain bytes and knows no
// engine; of the project it uses packages data and engine.
//
// The structures, all numbers little-endian u32:
//
//	system struct (36 bytes): exit_code, heap_begin, heap_end,
//	    input_sets_len, input_sets, output_sets_len, output_sets,
//	    input_bufs, output_bufs
//	set (12 bytes):  name pointer, name length, index of its first item
//	item (20 bytes): name pointer, name length, data pointer, data length, key
//
// Both set arrays end in a sentinel without a name whose index is the number
// of all items.
package abi
