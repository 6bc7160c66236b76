package binarytest

import (
	"bytes"
	"encoding/binary"
)

// Function makes a module that keeps to the platform's binary interface: its
// _start exits with 0, and there is one more function for every body.
func Function(bodies ...[]byte) []byte {
	start := []byte{0, 0x41, 0x80, 0x08, 0x41, 0, 0x36, 2, 0, 0x0b} // i32.store 1024 0
	funcs, code := length(len(bodies)+1), length(len(bodies)+1)
	for _, b := range append([][]byte{start}, bodies...) {
		funcs = append(funcs, 0)
		code = append(append(code, length(len(b))...), b...)
	}
	return bytes.Join([][]byte{
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{1, 0x60, 0, 0}),
		section(3, funcs),
		section(5, []byte{1, 0, 1}),
		section(6, []byte{1, 0x7f, 0, 0x41, 0x80, 0x08, 0x0b}),
		section(7, length(3), name("_start"), []byte{0, 0}, name("memory"), []byte{2, 0}, name("__dandelion_system_data"), []byte{3, 0}),
		section(10, code),
	}, nil)
}

// Body is a function's body with a number of i32 locals and the given code.
func Body(locals int, code ...[]byte) []byte {
	decl := []byte{0}
	if locals > 0 {
		decl = bytes.Join([][]byte{{1}, length(locals), {0x7f}}, nil)
	}
	return append(append(decl, bytes.Join(code, nil)...), 0x0b)
}

// LoopBlock is an empty loop.
func LoopBlock() []byte { return []byte{0x03, 0x40, 0x0b} }

// IfBlock is a branch that needs the locals 0 and 1.
func IfBlock() []byte { return []byte{0x20, 0, 0x04, 0x40, 0x20, 1, 0x21, 0, 0x0b} }

// CallStart calls _start in a module that Function made.
func CallStart() []byte { return []byte{0x10, 0} }

// CompileBombs are small valid functions that take a compiler minutes or
// gigabytes.
func CompileBombs() []Bomb {
	many := func(n int, b []byte) [][]byte {
		list := make([][]byte, n)
		for i := range list {
			list[i] = b
		}
		return list
	}
	return []Bomb{
		{"sequential loops", Function(Body(0, bytes.Repeat(LoopBlock(), 64_000)))},
		{"ifs with 100 locals", Function(Body(100, bytes.Repeat(IfBlock(), 32_000)))},
		{"nested loops", Function(Body(0, bytes.Repeat([]byte{0x03, 0x40}, 30_000), bytes.Repeat([]byte{0x0b}, 30_000)))},
		{"functions with 5,000 locals", Function(many(190, Body(5_000, IfBlock()))...)},
		{"one function of 150,000 calls", Function(Body(0, bytes.Repeat(CallStart(), 150_000)))},
		{"functions at the class", Function(many(2_000, Body(90, bytes.Repeat(IfBlock(), 100)))...)},
	}
}

func length(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func section(id byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return bytes.Join([][]byte{{id}, length(len(body)), body}, nil)
}

func name(s string) []byte { return append(length(len(s)), s...) }
