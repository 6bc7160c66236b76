package a64_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
)

// Where the parts of the driver's program lie.
const (
	driverAt   = 0x10000
	epilogueAt = 0x10010
	paramAt    = 0x20000
	stackAt    = 0x30000
	stubsAt    = 0x100000
	inputAt    = 0x4000000
	outputAt   = 0x8000000
)

// branch is B from one address to another.
func branch(from, to uint64) uint32 { return 0x14000000 | uint32(int64(to-from)/4)&0x3ffffff }

// layOut places sequences one after the other: the code, and where each begins. Before
// each of them X30 is loaded, which the driver needed to get there.
func layOut(sequences []sequence) (text []byte, begins []uint64) {
	le := binary.LittleEndian
	for i, s := range sequences {
		x30 := uint32(inputAt + i*stateBytes + 240)
		begins = append(begins, stubsAt+uint64(len(text)))
		text = le.AppendUint32(text, 0xd280001e|x30&0xffff<<5) // MOVZ
		text = le.AppendUint32(text, 0xf2a0001e|x30>>16<<5)    // MOVK
		text = le.AppendUint32(text, 0xf94003de)               // LDR
		for _, w := range s.words {
			text = le.AppendUint32(text, w)
		}
		text = le.AppendUint32(text, branch(stubsAt+uint64(len(text)), epilogueAt))
	}
	return append(text, make([]byte, 256)...), begins // so that there is something to load after the last
}

// program is the ELF file that runs sequences and writes down what they leave.
func program(tb testing.TB, sequences []sequence) []byte {
	tb.Helper()
	driver, err := os.ReadFile("testdata/driver.bin")
	if err != nil {
		tb.Fatal(err)
	}
	le := binary.LittleEndian
	text, begins := layOut(sequences)
	var params, input []byte
	for _, v := range []uint64{0, uint64(len(sequences)), inputAt, outputAt, outputAt, 0} {
		params = le.AppendUint64(params, v)
	}
	for i, s := range sequences {
		first := begin(s.seed)
		b := first.bytes(begins[i])
		input = append(input, b...)
	}
	type part struct {
		at, flags uint64
		data      []byte
		size      int
	}
	parts := []part{
		{driverAt, 5, driver, len(driver)},
		{paramAt, 6, params, len(params)},
		{stackAt, 6, nil, 0x10000},
		{arenaAt, 6, nil, arenaEnd - arenaAt},
		{stubsAt, 5, text, len(text)},
		{inputAt, 6, input, len(input)},
		{outputAt, 6, nil, len(input)},
	}
	const page = 0x1000
	file := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	file = le.AppendUint16(file, 2)
	file = le.AppendUint16(file, 183)
	file = le.AppendUint32(file, 1)
	file = le.AppendUint64(file, driverAt)
	file = le.AppendUint64(file, 64)
	file = le.AppendUint64(file, 0)
	file = le.AppendUint32(file, 0)
	for _, v := range []uint16{64, 56, uint16(len(parts)), 64, 0, 0} {
		file = le.AppendUint16(file, v)
	}
	offset := uint64(page)
	for _, p := range parts {
		file = le.AppendUint32(file, 1)
		file = le.AppendUint32(file, uint32(p.flags))
		for _, v := range []uint64{offset, p.at, p.at, uint64(len(p.data)), uint64(p.size), page} {
			file = le.AppendUint64(file, v)
		}
		offset += (uint64(len(p.data)) + page - 1) &^ (page - 1)
	}
	for _, p := range parts {
		file = append(file, make([]byte, -len(file)&(page-1))...)
		file = append(file, p.data...)
	}
	return file
}

// reference runs sequences under qemu. It skips the test if there is none.
func reference(tb testing.TB, sequences []sequence) []state {
	tb.Helper()
	var qemu string
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		if path, err := exec.LookPath(name); err == nil {
			qemu = path
		}
	}
	if qemu == "" {
		tb.Skip("there is no qemu-aarch64 (Debian: qemu-user-static); the golden vectors stand for it")
	}
	file := filepath.Join(tb.TempDir(), "sequences")
	if err := os.WriteFile(file, program(tb, sequences), 0o700); err != nil {
		tb.Fatal(err)
	}
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(tb.Context(), qemu, "-cpu", "neoverse-n1", file)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		tb.Fatalf("qemu: %v: %s", err, complaint.String())
	}
	if out.Len() != len(sequences)*stateBytes {
		tb.Fatalf("qemu wrote %d bytes for %d sequences: %s", out.Len(), len(sequences), complaint.String())
	}
	states := make([]state, len(sequences))
	for i := range states {
		states[i] = stateOf(out.Bytes()[i*stateBytes:][:stateBytes])
	}
	return states
}

// signals is what Linux makes of faults.
func signalOf(err error) uint64 {
	var f *a64.Fault
	if !errors.As(err, &f) {
		return 0
	}
	switch f.Kind {
	case a64.FaultUndefined:
		return 4
	case a64.FaultBRK:
		return 5
	case a64.FaultAlignment:
		return 7
	default:
		return 11
	}
}

// A bed runs sequences in machines of ours.
type bed struct {
	tb     testing.TB
	m      *a64.Machine
	code   *a64.Code
	memory []byte
	begins []uint64
}

func newBed(tb testing.TB, sequences []sequence) *bed {
	tb.Helper()
	text, begins := layOut(sequences)
	code, err := a64.Decode([]a64.Segment{{Addr: stubsAt, Bytes: text}})
	if err != nil {
		tb.Fatal(err)
	}
	b := &bed{tb: tb, m: a64.NewMachine(), code: code, begins: begins}
	b.memory = make([]byte, stubsAt+len(text))
	copy(b.memory[stubsAt:], text)
	return b
}

// start prepares the machine for sequence i.
func (b *bed) start(i int, s sequence) {
	first := begin(s.seed)
	root := capability.Root()
	pcc, _ := root.SetBounds(b.code.End())
	pcc = pcc.ClearPerms(capability.AllPerms &^ (capability.Execute | capability.Load)).WithAddress(b.begins[i] + 12)
	ddc, _ := root.SetBounds(arenaEnd)
	b.m.Reset(b.code, b.memory, 0, pcc, ddc)
	copy(b.memory[windowAt:], first.window[:])
	for r, v := range first.x[:31] {
		b.m.SetX(r, v)
	}
	b.m.SetSP(first.x[31])
	b.m.SetNZCV(uint32(first.nzcv))
	b.m.SetFPCR(uint32(first.fpcr))
	b.m.SetFPSR(uint32(first.fpsr))
	for r := range 32 {
		b.m.SetV(r, first.v[2*r], first.v[2*r+1])
	}
}

// run runs sequence i.
func (b *bed) run(i int, s sequence) state {
	b.start(i, s)
	err := b.m.Run(1000, 1000, nil)
	last := state{nzcv: uint64(b.m.NZCV()), fpcr: uint64(b.m.FPCR()), fpsr: uint64(b.m.FPSR())}
	var f *a64.Fault
	if !errors.As(err, &f) {
		b.tb.Errorf("%v ended with %v", s, err)
		return last
	}
	if f.PC != epilogueAt {
		last.signal = signalOf(err)
	}
	for r := range 31 {
		last.x[r] = b.m.X(r)
	}
	last.x[31] = b.m.SP()
	for r := range 32 {
		last.v[2*r], last.v[2*r+1] = b.m.V(r)
	}
	copy(last.window[:], b.memory[windowAt:])
	return last
}

// difference says in what two states differ.
func difference(got, want state) string {
	var b bytes.Buffer
	if got.signal != want.signal {
		fmt.Fprintf(&b, " signal %d, want %d;", got.signal, want.signal)
	}
	for i := range got.x {
		if got.x[i] != want.x[i] {
			fmt.Fprintf(&b, " x%d %#x, want %#x;", i, got.x[i], want.x[i])
		}
	}
	if got.nzcv != want.nzcv {
		fmt.Fprintf(&b, " nzcv %#x, want %#x;", got.nzcv>>28, want.nzcv>>28)
	}
	if got.fpcr != want.fpcr {
		fmt.Fprintf(&b, " fpcr %#x, want %#x;", got.fpcr, want.fpcr)
	}
	if got.fpsr != want.fpsr {
		fmt.Fprintf(&b, " fpsr %#x, want %#x;", got.fpsr, want.fpsr)
	}
	for i := range got.v {
		if got.v[i] != want.v[i] {
			fmt.Fprintf(&b, " v%d[%d] %#x, want %#x;", i/2, i%2, got.v[i], want.v[i])
		}
	}
	if got.window != want.window {
		for i := range got.window {
			if got.window[i] != want.window[i] {
				fmt.Fprintf(&b, " memory at %#x %#x, want %#x;", windowAt+i, got.window[i], want.window[i])
				break
			}
		}
	}
	return b.String()
}
