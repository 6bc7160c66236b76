package binary_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

func decode(code []byte) (*wasm.Module, error) { return wasm.Decode(code, wasm.DefaultCaps()) }

// raw is a module of sections as they are.
func raw(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// sec is a section.
func sec(id byte, content ...byte) []byte {
	return append(append([]byte{id}, wasm.AppendU32(nil, uint32(len(content)))...), content...)
}

// one is a module with a function of that code, a memory, a table of two
// functions, a mutable and an immutable global, and a data segment.
func one(code ...any) *binarytest.Builder {
	b := binarytest.New().Pages(1, 2)
	t := b.Type(nil, nil)
	b.Table(wasm.FuncRef, 2, 2)
	b.Table(wasm.ExternRef, 2, 2)
	b.Global(wasm.I32, true, wasm.OpI32Const, binarytest.S(0))
	b.Global(wasm.I32, false, wasm.OpI32Const, binarytest.S(0))
	b.Func(t, nil, code...)
	b.PassiveBytes([]byte("data"))
	b.PassiveFuncs(0)
	return b
}

func drop() wasm.Op { return 0x1a }

var (
	types    = sec(1, 1, 0x60, 0, 0) // () -> ()
	funcs    = sec(3, 1, 0)
	emptyFun = sec(10, 1, 2, 0, 0x0b)
	mem      = sec(5, 1, 0, 1)
)

func TestMalformedModules(t *testing.T) {
	const zero = wasm.OpI32Const
	for _, c := range []struct {
		name string
		code []byte
		kind error
		want string // part of the reason
	}{
		{"nothing", nil, wasm.ErrNotWasm, "first bytes"},
		{"text", []byte("(module)"), wasm.ErrNotWasm, "first bytes"},
		{"ELF", []byte("\x7fELF\x02\x01\x01\x00"), wasm.ErrNotWasm, "first bytes"},
		{"magic alone", []byte("\x00asm"), wasm.ErrNotWasm, "first bytes"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), wasm.ErrNotWasm, "version 2"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), wasm.ErrNotWasm, "component"},
		{"section 99", raw(sec(99)), wasm.ErrMalformed, "section number 99"},
		{"tag section", raw(sec(13, 0)), wasm.ErrUnsupported, "exceptions"},
		{"section twice", raw(types, types), wasm.ErrMalformed, "twice or out of order"},
		{"sections out of order", raw(mem, types), wasm.ErrMalformed, "twice or out of order"},
		{"section beyond the end", raw([]byte{1, 5, 0}), wasm.ErrMalformed, "5 bytes, 1 left"},
		{"section of 4 GiB", raw([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f}), wasm.ErrMalformed, "left"},
		{"section with more in it", raw(sec(1, 0, 0)), wasm.ErrMalformed, "left over"},
		{"number of 6 bytes", raw([]byte{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}), wasm.ErrMalformed, "32 bits"},
		{"number over 32 bits", raw([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x1f}), wasm.ErrMalformed, "32 bits"},
		{"2³² types", raw(sec(1, 0xff, 0xff, 0xff, 0xff, 0x0f)), wasm.ErrLimit, "types"},
		{"more types than bytes", raw(sec(1, 100)), wasm.ErrMalformed, "100 types"},
		{"type that is none", raw(sec(1, 1, 0x61, 0, 0)), wasm.ErrMalformed, "not a function type"},
		{"type of a struct", raw(sec(1, 1, 0x5f, 0, 0)), wasm.ErrUnsupported, "garbage"},
		{"parameter of no type", raw(sec(1, 1, 0x60, 1, 0x01, 0)), wasm.ErrMalformed, "not a type"},
		{"parameter of a newer type", raw(sec(1, 1, 0x60, 1, 0x6e, 0)), wasm.ErrUnsupported, ""},
		{"import of kind 9", raw(sec(2, 1, 0, 0, 9, 0)), wasm.ErrMalformed, "import of kind 9"},
		{"import of a tag", raw(sec(2, 1, 0, 0, 4, 0, 0)), wasm.ErrUnsupported, "exceptions"},
		{"import of no type", raw(sec(2, 1, 0, 0, 0, 0)), wasm.ErrMalformed, "type 0 of 0"},
		{"import's name not UTF-8", raw(sec(2, 1, 1, 0xff, 0, 2, 0, 1)), wasm.ErrMalformed, "UTF-8"},
		{"function of no type", raw(types, sec(3, 1, 1), emptyFun), wasm.ErrMalformed, "type 1 of 1"},
		{"function without code", raw(types, funcs), wasm.ErrMalformed, "1 functions declared, 0 have code"},
		{"code without function", raw(types, emptyFun), wasm.ErrMalformed, "0 functions declared, 1 have code"},
		{"table of numbers", raw(sec(4, 1, 0x7f, 0, 1)), wasm.ErrMalformed, "reference type"},
		{"table with a value", raw(sec(4, 1, 0x40, 0, 0x70, 0, 1)), wasm.ErrUnsupported, "initial value"},
		{"table's limits of kind 16", raw(sec(4, 1, 0x70, 16, 1)), wasm.ErrMalformed, "kind 0x10"},
		{"memory of 65,537 pages", raw(sec(5, 1, 0, 0x81, 0x80, 4)), wasm.ErrMalformed, "65537"},
		{"memory's least over most", raw(sec(5, 1, 1, 2, 1)), wasm.ErrMalformed, "minimum 2 over maximum 1"},
		{"shared memory", raw(sec(5, 1, 3, 1, 1)), wasm.ErrUnsupported, "threads"},
		{"64-bit memory", raw(sec(5, 1, 4, 1)), wasm.ErrUnsupported, "64-bit"},
		{"two memories", raw(sec(5, 2, 0, 1, 0, 1)), wasm.ErrUnsupported, "memor"},
		{"two memories, one imported", raw(sec(2, 1, 0, 0, 2, 0, 1), mem), wasm.ErrUnsupported, "second memory"},
		{"global of mutability 7", raw(sec(6, 1, 0x7f, 7, 0x41, 0, 0x0b)), wasm.ErrMalformed, "mutability"},
		{"global of another type", raw(sec(6, 1, 0x7e, 0, 0x41, 0, 0x0b)), wasm.ErrMalformed, "not one i64"},
		{"global of two values", raw(sec(6, 1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x0b)), wasm.ErrMalformed, "not one i32"},
		{"global of no value", raw(sec(6, 1, 0x7f, 0, 0x0b, 0)), wasm.ErrMalformed, "not one i32"},
		{"global that adds nothing", raw(sec(6, 1, 0x7f, 0, 0x6a, 0x0b)), wasm.ErrMalformed, "operands"},
		{"global that calls", raw(sec(6, 1, 0x7f, 0, 0x10, 0, 0x0b)), wasm.ErrMalformed, "constant expression"},
		{"global of a global that is not imported", raw(sec(6, 2, 0x7f, 0, 0x41, 0, 0x0b, 0x7f, 0, 0x23, 0, 0x0b)), wasm.ErrMalformed, "not an immutable import"},
		{"global of no function", raw(sec(6, 1, 0x70, 0, 0xd2, 0, 0x0b)), wasm.ErrMalformed, "function 0 of 0"},
		{"global without end", raw(sec(6, 1, 0x7f, 0, 0x41, 0)), wasm.ErrMalformed, ""},
		{"export of no function", raw(sec(7, 1, 0, 0, 0)), wasm.ErrMalformed, "0 of 0"},
		{"export of no memory", raw(sec(7, 1, 0, 2, 0)), wasm.ErrMalformed, "0 of 0"},
		{"export of kind 9", raw(mem, sec(7, 1, 0, 9, 0)), wasm.ErrMalformed, "kind 9"},
		{"export twice", raw(mem, sec(7, 2, 1, 'm', 2, 0, 1, 'm', 2, 0)), wasm.ErrMalformed, `export "m" twice`},
		{"export's name not UTF-8", raw(mem, sec(7, 1, 1, 0xc0, 2, 0)), wasm.ErrMalformed, "UTF-8"},
		{"start of no function", raw(sec(8, 0)), wasm.ErrMalformed, "start function 0 of 0"},
		{"start with parameters", raw(sec(1, 1, 0x60, 1, 0x7f, 0), funcs, sec(8, 0), emptyFun), wasm.ErrMalformed, "parameters"},
		{"element segment of kind 8", raw(sec(9, 1, 8, 0, 0, 0)), wasm.ErrMalformed, "kind 8"},
		{"element segment without table", raw(sec(9, 1, 0, 0x41, 0, 0x0b, 0)), wasm.ErrMalformed, "table 0 of 0"},
		{"element of no function", raw(sec(4, 1, 0x70, 0, 1), sec(9, 1, 0, 0x41, 0, 0x0b, 1, 0)), wasm.ErrMalformed, "function 0 of 0"},
		{"elements of another type", raw(sec(4, 1, 0x6f, 0, 1), sec(9, 1, 0, 0x41, 0, 0x0b, 0)), wasm.ErrMalformed, "for a table of"},
		{"data without memory", raw(sec(11, 1, 0, 0x41, 0, 0x0b, 0)), wasm.ErrMalformed, "without a memory"},
		{"data of kind 3", raw(mem, sec(11, 1, 3, 0, 0)), wasm.ErrMalformed, "kind 3"},
		{"data for memory 1", raw(mem, sec(11, 1, 2, 1, 0x41, 0, 0x0b, 0)), wasm.ErrUnsupported, "at most"},
		{"data beyond its section", raw(mem, sec(11, 1, 1, 100)), wasm.ErrMalformed, "100 bytes announced"},
		{"fewer data than counted", raw(sec(12, 2), sec(11, 1, 1, 0)), wasm.ErrMalformed, "2 data segments counted, 1 present"},
		{"body without end", raw(types, funcs, sec(10, 1, 2, 0, 1)), wasm.ErrMalformed, "not ended"},
		{"body beyond its section", raw(types, funcs, sec(10, 1, 9, 0, 0x0b)), wasm.ErrMalformed, ""},
		{"body of nothing", raw(types, funcs, sec(10, 1, 0, 0, 0)), wasm.ErrMalformed, "unexpected end"},
		{"behind the last end", one(wasm.OpEnd).Encode(), wasm.ErrMalformed, "behind the last end"},
		{"else without if", one(wasm.OpElse).Encode(), wasm.ErrMalformed, "else without if"},
		{"block of no type", one(wasm.OpBlock, binarytest.S(9), wasm.OpEnd).Encode(), wasm.ErrMalformed, "type 9 of 1"},
		{"branch too far", one(wasm.OpBr, 1).Encode(), wasm.ErrMalformed, "label 1 of 1"},
		{"branch table too far", one(zero, binarytest.S(0), wasm.OpBrTable, 1, 0, 7).Encode(), wasm.ErrMalformed, "label 7 of 1"},
		{"call of nothing", one(wasm.OpCall, 1).Encode(), wasm.ErrMalformed, "function 1 of 1"},
		{"indirect call of no type", one(zero, binarytest.S(0), wasm.OpCallIndirect, 1, 0).Encode(), wasm.ErrMalformed, "type 1 of 1"},
		{"indirect call through no table", one(zero, binarytest.S(0), wasm.OpCallIndirect, 0, 2).Encode(), wasm.ErrMalformed, "table 2 of 2"},
		{"indirect call through references", one(zero, binarytest.S(0), wasm.OpCallIndirect, 0, 1).Encode(), wasm.ErrMalformed, "holds no functions"},
		{"local of none", one(wasm.OpLocalGet, 0, drop()).Encode(), wasm.ErrMalformed, "local 0 of 0"},
		{"global of none", one(wasm.OpGlobalGet, 2, drop()).Encode(), wasm.ErrMalformed, "global 2 of 2"},
		{"change of a constant", one(zero, binarytest.S(0), wasm.OpGlobalSet, 1).Encode(), wasm.ErrMalformed, "immutable"},
		{"reference to what nobody names", made(func(b *binarytest.Builder) { b.Func(b.Type(nil, nil), nil, wasm.OpRefFunc, 0, drop()) }), wasm.ErrMalformed, "nothing outside of code names"},
		{"data segment that is not counted", raw(types, funcs, mem, sec(10, 1, 5, 0, 0xfc, 9, 0, 0x0b), sec(11, 1, 1, 0)), wasm.ErrMalformed, "without a data count"},
		{"data segment of none", one(wasm.OpDataDrop, 1).Encode(), wasm.ErrMalformed, "1 of 1"},
		{"element segment of none", one(wasm.OpElemDrop, 1).Encode(), wasm.ErrMalformed, "1 of 1"},
		{"load without memory", made(func(b *binarytest.Builder) {
			b.Func(b.Type(nil, nil), nil, zero, binarytest.S(0), []byte{0x28, 2, 0}, drop())
		}), wasm.ErrMalformed, "no memory"},
		{"load of a strange alignment", one(zero, binarytest.S(0), []byte{0x28, 3, 0}, drop()).Encode(), wasm.ErrMalformed, "alignment"},
		{"load from memory 1", one(zero, binarytest.S(0), []byte{0x28, 0x42, 1, 0}, drop()).Encode(), wasm.ErrUnsupported, "names a memory"},
		{"opcode that is none", one([]byte{0x27}).Encode(), wasm.ErrMalformed, "illegal opcode"},
		{"opcode 0xfc 99", one([]byte{0xfc, 99}).Encode(), wasm.ErrMalformed, "illegal opcode"},
		{"atomic instruction", one([]byte{0xfe, 0x10, 2, 0}).Encode(), wasm.ErrUnsupported, "threads"},
		{"try", one([]byte{0x06, 0x40, 0x0b}).Encode(), wasm.ErrUnsupported, ""},
		{"padded SIMD opcode", one(zero, binarytest.S(0), []byte{0xfd, 0x8f, 0x00}, drop()).Encode(), wasm.ErrUnsupported, "padded"},
		{"relaxed SIMD", one([]byte{0xfd, 0x80, 0x02}).Encode(), wasm.ErrUnsupported, "relaxed SIMD"},
		{"lane too far", one([]byte{0xfd, 12}, make([]byte, 16), []byte{0xfd, 21, 16}, drop()).Encode(), wasm.ErrMalformed, "lane 16 of 16"},
		{"select of two types", one([]byte{0x1c, 2, 0x7f, 0x7f}).Encode(), wasm.ErrMalformed, "select of 2 types"},
		{"constant over 32 bits", one([]byte{0x41, 0xff, 0xff, 0xff, 0xff, 0x2f}, drop()).Encode(), wasm.ErrMalformed, "32 bits"},
		{"local of no type", raw(types, funcs, sec(10, 1, 4, 1, 1, 0x01, 0x0b)), wasm.ErrMalformed, "not a type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := decode(c.code)
			var e *wasm.Error
			if !errors.As(err, &e) || !errors.Is(err, c.kind) || !strings.Contains(e.Reason, c.want) || m != nil {
				t.Fatalf("%v, want %v with %q", err, c.kind, c.want)
			}
			if e.Offset < 0 || e.Offset > len(c.code) || !strings.Contains(err.Error(), "at offset") {
				t.Errorf("%v: offset %d of %d", err, e.Offset, len(c.code))
			}
		})
	}
}

// made is a module made by f.
func made(f func(*binarytest.Builder)) []byte {
	b := binarytest.New()
	f(b)
	return b.Encode()
}

// sampleModules are real ones.
func sampleModules(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../samples/*/*.wasm")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d samples (%v)", len(files), err)
	}
	modules := map[string][]byte{}
	for _, f := range files {
		code, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		modules[f] = code
	}
	return modules
}

// A module that is cut off is an error, wherever, unless a section ends there.
func TestTruncated(t *testing.T) {
	for name, code := range sampleModules(t) {
		whole, err := decode(code)
		if err != nil {
			t.Fatal(name, err)
		}
		accepted := 0
		for n := range len(code) {
			m, err := decode(code[:n:n])
			if err == nil {
				accepted++
				if len(m.Bodies) == len(whole.Bodies) {
					continue // custom sections are missing
				}
			}
			if err == nil && len(m.FuncTypes) > 0 {
				t.Errorf("%s: its first %d bytes of %d are taken", name, n, len(code))
			}
		}
		if accepted > 20 {
			t.Errorf("%s: %d beginnings of it are taken", name, accepted)
		}
	}
}

// Any byte may change: nothing panics, and errors are of this package.
func TestDamaged(t *testing.T) {
	code := sampleModules(t)["../../samples/matmul/matmul.wasm"]
	for i := range code {
		for _, change := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff} {
			damaged := bytes.Clone(code)
			damaged[i] ^= change
			var e *wasm.Error
			if _, err := decode(damaged); err != nil && !errors.As(err, &e) {
				t.Fatalf("byte %d ^ %#x: %v", i, change, err)
			}
		}
	}
}
