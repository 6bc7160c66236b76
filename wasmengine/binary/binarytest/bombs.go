package binarytest

import wasm "pappus/wasmengine/binary"

// Bomb is a module that is small and costs much later: the caps refuse it, or
// it must be compiled where that does no harm.
type Bomb struct {
	Name string
	Code []byte
}

// Bombs are such modules. The larger size is, the worse they are; their length
// is of its order in bytes.
func Bombs(size int) []Bomb {
	return []Bomb{
		{"sequential loops", oneFunc(nil, repeat(size/3, Code(wasm.OpLoop, Void, wasm.OpEnd)))},
		{"nested loops", oneFunc(nil, repeat(size/3, Code(wasm.OpLoop, Void)), repeat(size/3, Code(wasm.OpEnd)))},
		{"ifs with many locals", oneFunc(manyLocals(100), repeat(size/6, Code(wasm.OpLocalGet, 0, wasm.OpIf, Void, wasm.OpEnd)))},
		{"functions with many locals", manyFuncs(size/9, append(wasm.AppendU32([]byte{1}, 50_000), byte(wasm.I32), byte(wasm.OpEnd)))},
		{"many local declarations", oneFunc(nil, nil, declarations(size/2))},
		{"calls", oneFunc(nil, repeat(size/2, Code(wasm.OpCall, 0)))},
		{"branch table of many values", branchTable(size)},
		{"empty functions", manyFuncs(size/4, []byte{0, byte(wasm.OpEnd)})},
		{"types", types(size / 3)},
		{"passive data segments", dataSegments(size / 2)},
		{"huge table", hugeTable()},
	}
}

func repeat(n int, b []byte) []byte {
	out := make([]byte, 0, n*len(b))
	for range n {
		out = append(out, b...)
	}
	return out
}

// manyLocals is one declaration of n locals.
func manyLocals(n uint32) []byte {
	return append(wasm.AppendU32([]byte{1}, n), byte(wasm.I32))
}

func oneFunc(decls []byte, code ...[]byte) []byte {
	b := New()
	if decls == nil {
		decls = []byte{0}
	}
	var raw []byte
	if len(code) == 2 && code[0] == nil { // declarations in place of code
		decls, code = code[1], nil
	}
	raw = append(raw, decls...)
	for _, c := range code {
		raw = append(raw, c...)
	}
	b.Raw(b.Type(nil, nil), append(raw, byte(wasm.OpEnd)))
	return b.Encode()
}

// declarations are n declarations of no local each.
func declarations(n int) []byte {
	return append(wasm.AppendU32(nil, uint32(n)), repeat(n, []byte{0, byte(wasm.I32)})...)
}

func manyFuncs(n int, raw []byte) []byte {
	b := New()
	t := b.Type(nil, nil)
	for range n {
		b.Raw(t, raw)
	}
	return b.Encode()
}

func branchTable(n int) []byte {
	b := New()
	results := repeat(100, []byte{byte(wasm.I32)})
	t := b.Type(nil, results)
	code := repeat(100, Code(wasm.OpI32Const, S(0)))
	code = append(code, Code(wasm.OpI32Const, S(0), wasm.OpBrTable, n)...)
	b.Func(t, nil, append(code, repeat(n+1, []byte{0})...))
	return b.Encode()
}

func types(n int) []byte {
	b := New()
	for range n {
		b.Module.Types = append(b.Module.Types, wasm.FuncType{})
	}
	return b.Encode()
}

func dataSegments(n int) []byte {
	b := New()
	for range n {
		b.PassiveBytes(nil)
	}
	return b.Encode()
}

func hugeTable() []byte {
	b := New()
	b.Table(wasm.FuncRef, 1<<26, 1<<26)
	return b.Encode()
}
