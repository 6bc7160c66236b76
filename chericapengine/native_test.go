package chericapengine

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
	"pappus/engine"
	"pappus/engine/enginetest"
)

// nativeWords are the words of native_linux_arm64.s between two comments.
func nativeWords(t *testing.T, from, to string) (code []byte) {
	t.Helper()
	text, err := os.ReadFile("native_linux_arm64.s")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n\t// "+from+"\n")
	part, _, found := strings.Cut(rest, to)
	if !ok || !found {
		t.Fatalf("there is nothing between %s and %s", from, to)
	}
	word := regexp.MustCompile(`^\tWORD \$0x([0-9a-f]{8})(?: //.*)?$`)
	for line := range strings.Lines(part) {
		m := word.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			if strings.HasPrefix(line, "\t//") {
				continue
			}
			t.Fatalf("%q is no word", line)
		}
		w, err := strconv.ParseUint(m[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		code = binary.LittleEndian.AppendUint32(code, uint32(w))
	}
	return code
}

const (
	simHost    = 0x4000
	simBlock   = 0x10000
	simContext = 0x40000
	simSize    = 0x20000
	simCode    = 0x1000
	simSlot    = 0x2000
)

// simulate puts what the native driver does into a machine of the software driver:
// the host's words, followed by a breakpoint, and a block for a function at simCode.
func simulate(t *testing.T) (m *a64.Machine, host *a64.Code, memory []byte) {
	t.Helper()
	enter, leave := nativeWords(t, "enter", "\t// leave\n"), nativeWords(t, "leave", "\tMOVD $0, R0\n")
	words := binary.LittleEndian.AppendUint32(append(enter, leave...), 0xd4200000) // brk
	host, err := a64.Decode([]a64.Segment{{Addr: simHost, Bytes: words}})
	if err != nil {
		t.Fatal(err)
	}
	memory = make([]byte, simContext+simSize+0x1000)
	b := nativeBlock{memory[simBlock : simBlock+blockSize], simBlock}
	b.prepare(0)
	b.enter(entering{base: simContext, limit: simSize, code: 0x1010, entry: simCode, stack: 0xff0, slot: simSlot})
	root := capability.Root()
	m = a64.NewMachine()
	m.Reset(host, memory, 0, root.WithAddress(simHost), root)
	m.SetSP(0x8000)
	m.SetX(0, simBlock)
	for i := range 32 {
		m.SetV(i, 0x5ec2e7, 0x5ec2e7)
		if i > 0 && i < 31 {
			m.SetC(i, root.WithAddress(0x5ec2e7))
		}
	}
	m.SetNZCV(0xf0000000)
	m.SetFPSR(0x1f)
	return m, host, memory
}

// The words with which the native driver enters a function and is left by it give
// a function the two capabilities and nothing of the host's, and the host its own
// again.
func TestNativeWords(t *testing.T) {
	m, host, memory := simulate(t)
	function, err := a64.Decode([]a64.Segment{{Addr: simCode, Bytes: binary.LittleEndian.AppendUint32(
		binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil,
			0xd53bd040), // mrs x0, tpidr_el0
			0xd2840008), // mov x8, #0x2000
			0xc2400100), // ldr c0, [x8]
		0xc2c4101d)}}) // ldpbr c29, [c0]
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(1000, 1000, nil); err != nil {
		t.Fatal(err)
	}
	at := func(size uint64, perms capability.Perms) capability.Capability {
		c, exact := capability.Root().WithAddress(simContext).SetBounds(size)
		if !exact {
			t.Fatal("a capability of the test is not exact")
		}
		return c.ClearPerms(capability.AllPerms &^ perms)
	}
	data := at(simSize, capability.Load|capability.Store|capability.LoadCap)
	code := at(0x1010, capability.Execute).WithAddress(simContext + simCode)
	if m.DDC() != data || m.PCC() != code || m.SP() != 0xff0 || m.C(30) != code {
		t.Errorf("entered with DDC %v, PCC %v, stack pointer %#x, C30 %v", m.DDC(), m.PCC(), m.SP(), m.C(30))
	}
	for i := range 30 {
		if m.C(i) != (capability.Capability{}) {
			t.Errorf("C%d is %v", i, m.C(i))
		}
	}
	for i := range 32 {
		if lo, hi := m.V(i); lo != 0 || hi != 0 {
			t.Errorf("V%d is %#x %#x", i, hi, lo)
		}
	}
	if fresh := a64.NewMachine(); m.NZCV() != 0 || m.FPSR() != 0 {
		t.Errorf("flags %#x, FPSR %#x", m.NZCV(), m.FPSR())
	} else if fresh.Reset(function, memory, 0, code, data); m.FPCR() != fresh.FPCR() {
		t.Errorf("FPCR is %#x, in software %#x", m.FPCR(), fresh.FPCR())
	}
	m.SetCode(function)
	if err := m.Run(3, 3, nil); !errors.Is(err, a64.ErrFuel) {
		t.Fatal(err)
	}
	if pair := m.C(0); !pair.Tag() || pair.Type() != capability.LPB || pair.Perms() != capability.Load|capability.LoadCap || pair.Bounds() != (capability.Bounds{Base: simBlock + blockPair, Top: capability.Root().WithAddress(0).Bounds().Top}) && pair.Bounds().Length() != 32 {
		t.Errorf("the return capability is %v", pair)
	}
	if err := m.Run(10, 10, nil); err != nil {
		t.Fatal(err)
	}
	m.SetCode(host)
	var f *a64.Fault
	if err := m.Run(1000, 1000, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK {
		t.Fatalf("the host ended with %v", err)
	}
	b := nativeBlock{memory[simBlock : simBlock+blockSize], simBlock}
	if m.DDC() != capability.Root() || m.SP() != 0x8000 || m.X(29) != simBlock || b.end(simContext).why != left {
		t.Errorf("left with DDC %v, stack pointer %#x, X29 %#x, %+v", m.DDC(), m.SP(), m.X(29), b.end(simContext))
	}
}

// A function that was entered by those words is held to its bounds and permissions,
// and can't reach the host's state in a way of its own.
func TestNativeWordsConfine(t *testing.T) {
	for name, c := range map[string]struct {
		words []uint32
		kind  a64.FaultKind
	}{
		"last bytes":           {[]uint32{0xd29fff00, 0xf2a00020, 0xf9400001, 0xd4200000}, a64.FaultBRK}, // mov x0, #0x1fff8; ldr x1, [x0]; brk
		"across the end":       {[]uint32{0xd29fff20, 0xf2a00020, 0xf9400001}, a64.FaultBounds},          // mov x0, #0x1fff9; ldr x1, [x0]
		"before the start":     {[]uint32{0x92800000, 0x39000001}, a64.FaultBounds},                      // mov x0, #-1; strb w1, [x0]
		"literal":              {[]uint32{0x58000001}, a64.FaultPermission},                              // ldr x1, .
		"store of capability":  {[]uint32{0xd2840008, 0xc2400100, 0xc2000500}, a64.FaultPermission},      // str c0, [x8, #16]
		"slot written to":      {[]uint32{0xd2840008, 0xf9000100, 0xc2400100, 0xc2c4101d}, a64.FaultTag}, // str x0, [x8]; ldr c0, [x8]; ldpbr
		"code as data":         {[]uint32{0xc2c253c0 | 29<<5 ^ 30<<5}, a64.FaultTag},                     // ret c29
		"host's DDC":           {[]uint32{0xc29b4320}, a64.FaultUndefined},                               // mrs c0, rddc_el0
		"base-offset mode off": {[]uint32{0xd51b1240}, a64.FaultUndefined},                               // msr cctlr_el0, x0
		"system call":          {[]uint32{0xd4000001}, a64.FaultSVC},                                     // svc #0
	} {
		m, _, _ := simulate(t)
		var code []byte
		for _, w := range c.words {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
		function, err := a64.Decode([]a64.Segment{{Addr: simCode, Bytes: code}})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(1000, 1000, nil); err != nil {
			t.Fatal(err)
		}
		m.SetCode(function)
		var f *a64.Fault
		if err := m.Run(1000, 1000, nil); !errors.As(err, &f) || f.Kind != c.kind {
			t.Errorf("%s ended with %v", name, err)
		}
	}
}

// The probe finds capabilities where there are some.
func TestNativeProbe(t *testing.T) {
	probe, err := a64.Decode([]a64.Segment{{Addr: simHost, Bytes: binary.LittleEndian.AppendUint32(nativeWords(t, "probe", "\t// probed\n"), 0xd4200000)}})
	if err != nil {
		t.Fatal(err)
	}
	root := capability.Root()
	m := a64.NewMachine()
	m.Reset(probe, make([]byte, 0x10000), 0, root.WithAddress(simHost), root)
	m.SetX(19, 0x8000)
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK || m.X(2) != 1 || m.X(3) != 0 {
		t.Errorf("%v: X2 %d, X3 %d", err, m.X(2), m.X(3))
	}
}

func TestNativeEnds(t *testing.T) {
	b := nativeBlock{make([]byte, blockSize), 1 << 30}
	const base = 1 << 40
	for _, c := range []struct {
		state, signal, code, address uint64
		why                          reason
		text                         string
		outside                      bool
	}{
		{stateLeft, 0, 0, 0, left, "", false},
		{stateRunning, 0, 0, 0, faulted, "system call", false},
		{stateUnprepared, ^uint64(0), 0, 0, faulted, "error 1", false},
		{stateSignal, sigSYS, 1, 0, faulted, "system call (SVC)", false},
		{stateSignal, sigILL, 1, 0, faulted, "undefined instruction", false},
		{stateSignal, sigTRAP, 1, 0, faulted, "breakpoint", false},
		{stateSignal, sigBUS, 1, 0, faulted, "alignment fault", false},
		{stateSignal, sigSEGV, codeTag, base + 16, faulted, "tag fault at 0x10", false},
		{stateSignal, sigSEGV, codeBounds, base - 8, faulted, "bounds fault at 0xfffffffffffffff8", true},
		{stateSignal, sigSEGV, codePermission, base, faulted, "permission fault at 0x0", false},
		{stateSignal, sigSEGV, 2, base, faulted, "permission fault", false}, // of pages
	} {
		b.put(blockState, c.state)
		b.put(blockSignal, c.signal)
		b.put(blockInfo, b.at+0x5000)
		b.put(0x5008, c.code)
		b.put(0x5010, c.address)
		if s := b.end(base); s.why != c.why || !strings.Contains(s.detail, c.text) || s.outside != c.outside {
			t.Errorf("%+v: %+v", c, s)
		}
	}
	b.put(blockInfo, 0)
	if s := b.end(base); s.why != faulted {
		t.Errorf("%+v", s)
	}
}

// On this machine the native driver is refused, and under an emulated AArch64, too.
func TestNativeIsRefused(t *testing.T) {
	if e, err := New(Config{Native: true}); !errors.Is(err, errNotMorello) {
		if err == nil {
			t.Skipf("this is a Morello board; close: %v", e.Close())
		}
		t.Error(err)
	}
}

// What a native driver runs has its whole context from the start, and what has a limit
// of fuel goes to the software driver.
func TestNativeIsChosen(t *testing.T) {
	e := newEngine(t, Config{})
	software := e.Semantics()
	e.native = newSoftware() // stands for it
	if e.Semantics() == software {
		t.Error("its results are remembered as those of the software driver")
	}
	lim := enginetest.Limits()
	for _, fuel := range []int64{0, 1 << 40} {
		lim.Fuel = fuel
		u, _, err := run(t, e, "echo", enginetest.Signature(), lim)
		if err != nil {
			t.Fatal(err)
		}
		if all := u.MemoryPages*engine.PageSize == int64(lim.Memory); all != (fuel == 0) {
			t.Errorf("with fuel %d it took %d pages", fuel, u.MemoryPages)
		}
	}
}

// The native driver compiles, and detection says no on a processor that has no
// capabilities: here the emulated one of qemu.
func TestNativeCrossCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles for another processor")
	}
	binary := filepath.Join(t.TempDir(), "refused.test")
	env := append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	for _, args := range [][]string{{"vet", "."}, {"test", "-c", "-o", binary, "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = env
		if log, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, log)
		}
	}
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		qemu, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), qemu, "-cpu", "max", binary, "-test.run", "^TestNative(IsRefused|Probes|Words|Ends)", "-test.v")
		log, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(log), "--- PASS: TestNativeIsRefused") || !strings.Contains(string(log), "--- PASS: TestNativeProbesSayNo") {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
		return
	}
	t.Log("there is no qemu-aarch64 (Debian: qemu-user); the detection was not run")
}
