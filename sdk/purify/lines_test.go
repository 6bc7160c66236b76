package purify_test

import (
	encoding "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/engine"
	"pappus/engine/lines"
	"pappus/sdk/purify"
	"pappus/wasmengine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// tableOf is the line table of a module, nil if it has none.
func tableOf(m *binary.Module) *lines.Table {
	s, ok := lines.Find(m.Custom)
	if !ok || len(m.Bodies) == 0 {
		return nil
	}
	last := m.Bodies[len(m.Bodies)-1]
	return lines.Read(s, m.Bodies[0].Offset-m.Code, last.Offset+uint32(len(last.Raw))-m.Code)
}

// places are where the instructions of a body are, as line tables count.
func places(m *binary.Module, body int) (places []uint32) {
	b := &m.Bodies[body]
	r, in := binary.NewReader(b.Raw[b.First:]), binary.Instr{}
	for r.Next(&in) {
		places = append(places, b.Offset+b.First+uint32(in.Start)-m.Code)
	}
	return places
}

// sameLines holds every instruction of a pure function to the line that it had in
// the program, and those that were added to none.
func sameLines(t interface{ Errorf(string, ...any) }, program, pure *binary.Module) (found int) {
	before, after := tableOf(program), tableOf(pure)
	if before == nil || after == nil {
		return 0
	}
	for i := range pure.Bodies {
		now := places(pure, i)
		own := i - program.ImportedFuncs
		if own < 0 || own >= len(program.Bodies) {
			for _, at := range now {
				if p, ok := after.At(at); ok {
					t.Errorf("function %d, which purify has made, is at %+v", i, p)
				}
			}
			continue
		}
		for n, at := range places(program, own) {
			want, wantOK := before.At(at)
			got, ok := after.At(now[n])
			if len(want.File) > 200 { // names are cut
				want.File, got.File = "", ""
			}
			if got != want || ok != wantOK {
				t.Errorf("instruction %d of function %d is at %+v (%t), and was at %+v (%t)", n, i, got, ok, want, wantOK)
				return found
			}
			if ok {
				found++
			}
		}
	}
	return found
}

// lined gives a module a line table that rows are drawn for.
func lined(rt *rapid.T, code []byte) []byte {
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		rt.Fatal(err)
	}
	program := []byte{0, 5, 2, 0, 0, 0, 0} // address 0
	last := m.Bodies[len(m.Bodies)-1]
	end := last.Offset + uint32(len(last.Raw)) - m.Code
	at := uint32(0)
	for i := range m.Bodies {
		start := m.Bodies[i].Offset - m.Code
		here := append([]uint32{start}, places(m, i)...)
		if i > 0 { // within the number before the body
			here = append([]uint32{start - 1}, here...)
		}
		for _, place := range here {
			switch rapid.IntRange(0, 9).Draw(rt, "row") {
			case 0:
				continue // it belongs to what is before it
			case 1:
				if at > 0 { // a sequence ends
					program = append(binary.AppendU32(append(program, 2), place-at), 0, 1, 1, 0, 5, 2)
					program = encoding.LittleEndian.AppendUint32(program, place)
					at = place
				}
			}
			program = append(binary.AppendU32(append(program, 2), place-at), 3)
			program = binary.AppendS64(program, int64(rapid.IntRange(0, 40).Draw(rt, "lines")))
			program = append(program, 5, rapid.ByteRange(0, 100).Draw(rt, "column"), 4, rapid.ByteRange(1, 2).Draw(rt, "file"), 1)
			at = place
		}
	}
	program = append(binary.AppendU32(append(program, 2), end-at), 0, 1, 1)
	return tabled(code, program)
}

// tabled gives a module a line table of two files with a line program.
func tabled(code, program []byte) []byte {
	unit := []byte{4, 0, 30, 0, 0, 0, 1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 'a', 0, 0, 0, 0, 'b', 0, 0, 0, 0, 0}
	unit = append(unit, program...)
	section := append(binary.AppendName(nil, ".debug_line"), encoding.LittleEndian.AppendUint32(nil, uint32(len(unit)))...)
	section = append(section, unit...)
	return append(binary.AppendU32(append(slices.Clone(code), 0), uint32(len(section))), section...)
}

// spread is a module whose numbers of bytes before bodies are as long as they may
// be.
func spread(code []byte) []byte {
	out := slices.Clone(code[:8])
	const codeSection = 10
	for at := 8; at < len(code); {
		id := code[at]
		size, n := encoding.Uvarint(code[at+1:])
		content := code[at+1+n : at+1+n+int(size)]
		at += 1 + n + int(size)
		if id == codeSection {
			count, n := encoding.Uvarint(content)
			rest := content[n:]
			content = slices.Clone(content[:n])
			for range count {
				size, n := encoding.Uvarint(rest)
				content = append(content, byte(size)|0x80, byte(size>>7)|0x80, byte(size>>14)|0x80, byte(size>>21)|0x80, byte(size>>28))
				content = append(content, rest[n:n+int(size)]...)
				rest = rest[n+int(size):]
			}
		}
		out = append(binary.AppendU32(append(out, id), uint32(len(content))), content...)
	}
	return out
}

// Every instruction has the line that it had, wherever it has moved to.
func TestLinesMove(t *testing.T) {
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := program()
		number := b.Type(nil, binarytest.Types(binary.I32))
		for range rapid.SampledFrom([]int{0, 1, 50, 130}).Draw(rt, "imports") {
			b.ImportFunc("wasi_snapshot_preview1", "sched_yield", number)
		}
		const nop = binary.Op(0x01)
		pieces := [][]any{{nop}, {binary.OpMemorySize, byte(0), binary.OpDrop}, {binary.OpI32Const, binarytest.S(70_000), binary.OpMemoryGrow, byte(0), binary.OpDrop}}
		for i := range rapid.IntRange(1, 6).Draw(rt, "functions") {
			var code []any
			for range rapid.IntRange(0, 60).Draw(rt, "pieces") {
				code = append(code, rapid.SampledFrom(pieces).Draw(rt, "piece")...)
			}
			f := b.Func(b.Type(nil, nil), nil, code...)
			if i == 0 {
				b.ExportAs("_start", binary.ExternFunc, f)
			}
		}
		code := b.Encode()
		if rapid.Bool().Draw(rt, "spread") {
			code = spread(code)
		}
		code = lined(rt, code)
		pure, err := purify.Purify(code, purify.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		before, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil {
			rt.Fatal(err)
		}
		after, err := binary.Decode(pure, binary.DefaultCaps())
		if err != nil {
			rt.Fatal(err)
		}
		found += sameLines(rt, before, after)
	})
	if found == 0 {
		t.Error("no instruction had a line")
	}
}

// A program of which too much would move has no lines, and is made pure.
func TestTooManyMoves(t *testing.T) {
	for functions, want := range map[int]bool{1: true, 6: false} {
		b := program()
		piece := binarytest.Code(binary.OpMemorySize, byte(0), binary.OpDrop)
		body := slices.Concat([]byte{0}, slices.Repeat(piece, 180_000), []byte{byte(binary.OpEnd)})
		for range functions {
			b.Raw(b.Type(nil, nil), body)
		}
		b.ExportAs("_start", binary.ExternFunc, 0)
		// All is one line.
		code := tabled(b.Encode(), []byte{0, 5, 2, 5, 0, 0, 0, 1, 2, 0x80, 0x80, 4, 0, 1, 1})
		pure, err := purify.Purify(code, purify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := decode(t, pure).Custom(".debug_line"); ok != want {
			t.Errorf("%d functions: lines %t", functions, ok)
		}
	}
}

const trapSource = `#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) static int deepest(const char *text)
{
	if (text[0] == 'a')
		__builtin_trap();
	return 1;
}

__attribute__((noinline)) static int middle(char *text)
{
	return deepest(text) + puts(text);
}

int main(void)
{
	char *text = malloc(3 << 20);
	if (fgets(text, 3 << 20, stdin) == NULL)
		return 1;
	return middle(text) + 1;
}
`

// A trap in a program in C tells where in the source code it is.
func TestLinesOfC(t *testing.T) {
	needsC(t)
	dir := t.TempDir()
	source := filepath.Join(dir, "trap.c")
	if err := os.WriteFile(source, []byte(trapSource), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{2, 3, 4, 5} {
		out := filepath.Join(dir, "trap.wasm")
		command(t, nil, "clang-14", "--target=wasm32-wasi", "-O1", "-g", fmt.Sprintf("-gdwarf-%d", version), "-ffile-prefix-map="+dir+"=src", source, "-o", out)
		program := read(t, out)
		code, err := purify.Purify(program, purify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n := sameLines(t, decode(t, program), decode(t, code)); n < 1000 { // libc has lines as well
			t.Errorf("version %d: %d instructions with lines", version, n)
		}
		f := prepare(t, code, wasmengine.Config{})
		_, err = f.run(set("stdio", "stdin", "abc"))
		var fault *engine.Fault
		if !asFault(err, &fault) || fault.Kind != engine.FaultTrap || len(fault.Stack) < 4 {
			t.Fatalf("version %d: %v", version, err)
		}
		for i, want := range []string{"trap.c:7:", "trap.c:13:", "trap.c:21:", "crt1-command.c:"} {
			if !strings.Contains(fault.Stack[i], want) {
				t.Errorf("version %d: call %d is %q, want %s", version, i, fault.Stack[i], want)
			}
		}
		if last := fault.Stack[len(fault.Stack)-1]; last != "pappus.start()" {
			t.Errorf("version %d: the last call is %q", version, last)
		}
	}
}

const panicSource = `use std::io::Read;

#[inline(never)]
fn middle(text: &str) -> usize {
    if text.len() > 2 {
        std::process::abort();
    }
    text.len()
}

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    println!("{}", middle(&text));
}
`

// So does one in Rust.
func TestLinesOfRust(t *testing.T) {
	const rustc, library = "/usr/bin/rustc", "/usr/lib/rustlib/wasm32-wasi"
	for _, file := range []string{rustc, library} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld", file)
		}
	}
	dir := t.TempDir()
	source, out := filepath.Join(dir, "panic.rs"), filepath.Join(dir, "panic.wasm")
	if err := os.WriteFile(source, []byte(panicSource), 0o666); err != nil {
		t.Fatal(err)
	}
	command(t, nil, rustc, "--edition=2021", "-O", "-g", "--target=wasm32-wasi", "-Clinker=wasm-ld", "--remap-path-prefix="+dir+"=src", source, "-o", out)
	program := read(t, out)
	code, err := purify.Purify(program, purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := sameLines(t, decode(t, program), decode(t, code)); n < 1000 {
		t.Errorf("%d instructions with lines", n)
	}
	_, err = prepare(t, code, wasmengine.Config{Interpreter: true}).run(set("stdio", "stdin", "abc"))
	var fault *engine.Fault
	if !asFault(err, &fault) || fault.Kind != engine.FaultTrap {
		t.Fatalf("%v", err)
	}
	for want, line := range map[string]string{"middle": "src/panic.rs:6:", "main": "src/panic.rs:14:"} {
		if !slices.ContainsFunc(fault.Stack, func(call string) bool { return strings.Contains(call, want) && strings.Contains(call, line) }) {
			t.Errorf("%s is not at %s: %q", want, line, fault.Stack)
		}
	}
}
