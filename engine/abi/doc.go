// Package abi reads and writes the binary interface of functions: the system
// struct, the arrays of sets and items, and the bytes of items in a function's
// memory. It is the same for all machines but for the size of a word.
//
// It owns the layout of these structures, where inputs are placed, and the
// checks on what a function leaves. It works on plain bytes and knows no
// engine; of the project it uses packages data and engine.
//
// The structures, all fields little-endian words:
//
//	system struct (9 words): exit_code (32 bits), heap_begin, heap_end,
//	    input_sets_len, input_sets, output_sets_len, output_sets,
//	    input_bufs, output_bufs
//	set (3 words):  name pointer, name length, index of its first item
//	item (5 words): name pointer, name length, data pointer, data length, key
//
// Both set arrays end in a sentinel without a name whose index is the number
// of all items.
package abi
