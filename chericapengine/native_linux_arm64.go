package chericapengine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pappus/chericapengine/capability"
	"pappus/chericapengine/loader"
)

func spawn(block uintptr) int64

func synchronise(from, to uintptr)

// native is the driver that lets the processor run functions.
type native struct{}

var _ driver = native{}

// newNative makes the driver on a processor that knows capabilities, once it has
// shown that it holds functions to them.
func newNative() (driver, error) {
	if !announced() || !knowsCapabilities() {
		return nil, errNotMorello
	}
	if os.Getpagesize() != machinePage {
		return nil, fmt.Errorf("the native driver needs pages of %d bytes, and not %d", machinePage, os.Getpagesize())
	}
	if err := selfTest(native{}); err != nil {
		return nil, fmt.Errorf("the native driver does not hold functions to their capabilities: %w", err)
	}
	return native{}, nil
}

const machinePage = 4 << 10

// announced reports whether Linux says that there may be capabilities: by one of two
// bits, which other processors have for other things.
func announced() bool {
	const hwcap2, before518, since518 = 26, 1 << 19, 1 << 31
	auxv, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return false
	}
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if binary.LittleEndian.Uint64(auxv) == hwcap2 {
			return binary.LittleEndian.Uint64(auxv[8:])&(before518|since518) != 0
		}
	}
	return false
}

// knowsCapabilities has a process derive a capability and look at it. Other
// processors have no such instructions, which ends it.
func knowsCapabilities() bool {
	const yes = 42
	status, err := probe()
	return err == nil && status == yes
}

// probe gives the exit status of that process.
func probe() (int, error) {
	b, err := newBlock(unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD))
	if err != nil {
		return 0, err
	}
	defer b.free()
	b.put(blockProbe, 1)
	pid := spawn(uintptr(b.at))
	if pid < 0 {
		return 0, unix.Errno(-pid)
	}
	var status unix.WaitStatus
	for {
		_, err = unix.Wait4(int(pid), &status, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return status.ExitStatus(), err // -1 if a signal ended it
		}
	}
}

func newBlock(flags uint64) (nativeBlock, error) {
	bytes, err := unix.Mmap(-1, 0, blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nativeBlock{}, err
	}
	b := nativeBlock{bytes, uint64(addressOf(bytes))}
	b.prepare(flags)
	return b, nil
}

// free gives the block back, which no process uses any more.
func (b nativeBlock) free() { _ = unix.Munmap(b.bytes) } // there is nobody to tell

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (native) prepare(image *loader.Image) (code, error) {
	c := &nativeCode{entry: image.Entry, slot: image.Return, end: capability.RepresentableLength(image.CodeEnd)}
	for i := range image.Segments {
		if s := &image.Segments[i]; s.Executable {
			c.parts = append(c.parts, [2]uint64{s.Address &^ (machinePage - 1), (s.Address + s.Size + machinePage - 1) &^ (machinePage - 1)})
		}
	}
	return c, nil
}

type nativeCode struct {
	entry, slot, end uint64
	parts            [][2]uint64 // pages of code
}

func (c *nativeCode) size() int64 { return 0 }

func (c *nativeCode) enter(from entered) (thread, error) {
	limit, base := uint64(from.limit()), uint64(addressOf(from.memory))
	if mask := capability.RepresentableMask(limit); base&^mask != 0 || limit&^mask != 0 {
		return nil, fmt.Errorf("a context of %d bytes at %#x can't have a capability", limit, base)
	}
	b, err := newBlock(unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES)
	if err != nil {
		return nil, err
	}
	b.enter(entering{base: base, limit: limit, code: c.end, entry: c.entry, stack: uint64(from.stack), slot: c.slot})
	t := &nativeThread{block: b, code: c, memory: from.memory, base: base, events: -1}
	if err := t.start(); err != nil {
		t.leave()
		return nil, err
	}
	return t, nil
}

// nativeThread is a process that runs one function.
type nativeThread struct {
	block  nativeBlock
	code   *nativeCode
	memory []byte
	base   uint64
	pid    int // 0: none, or it is gone
	events int // a descriptor of the process
}

func (t *nativeThread) start() error {
	for _, p := range t.code.parts {
		pages := t.memory[p[0]:p[1]]
		synchronise(addressOf(pages), addressOf(pages)+uintptr(len(pages)))
		if err := unix.Mprotect(pages, unix.PROT_READ|unix.PROT_EXEC); err != nil {
			return err
		}
	}
	pid := spawn(uintptr(t.block.at))
	if pid < 0 {
		return fmt.Errorf("make a process for a function: %w", unix.Errno(-pid))
	}
	t.pid = int(pid)
	events, err := unix.PidfdOpen(t.pid, 0)
	if err == nil {
		t.events = events
	}
	return err
}

// tick is how long a function runs until deadline and scheduler are looked at.
const tick = 5 * time.Millisecond

// run waits for the function. Instructions are not counted.
func (t *nativeThread) run(int64) stop {
	fds := []unix.PollFd{{Fd: int32(t.events), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(tick.Milliseconds())); n == 0 || errors.Is(err, unix.EINTR) {
		return stop{why: paused}
	} else if err != nil {
		return stop{why: faulted, detail: "wait for the function: " + err.Error()}
	}
	if status := t.reap(); status.Signaled() {
		return stop{why: faulted, detail: fmt.Sprintf("its process was ended by %s", status.Signal())}
	}
	return t.block.end(t.base)
}

func (t *nativeThread) reap() (status unix.WaitStatus) {
	for t.pid > 0 {
		if _, err := unix.Wait4(t.pid, &status, unix.WALL, nil); !errors.Is(err, unix.EINTR) {
			t.pid = 0
		}
	}
	return status
}

func (t *nativeThread) retired() int64 { return 0 }

// where is not known: the process keeps no registers.
func (t *nativeThread) where() (registers, bool) { return registers{}, false }

// extend does nothing: all of the context can be reached from the start.
func (t *nativeThread) extend(int64) {}

func (t *nativeThread) leave() {
	if t.pid > 0 {
		_ = unix.Kill(t.pid, unix.SIGKILL) // it is not gone before it is waited for
		t.reap()
	}
	if t.events >= 0 {
		_ = unix.Close(t.events) // there is nobody to tell
	}
	for _, p := range t.code.parts {
		_ = unix.Mprotect(t.memory[p[0]:p[1]], unix.PROT_READ|unix.PROT_WRITE) // what fails here fails where it is emptied, too
	}
	t.block.free()
}

// selfTest runs functions that do what they must not, and one that does not.
func selfTest(d driver) error {
	const start, slot, size = machinePage, 2 * machinePage, 16 << 10
	exit := []uint32{0xd2840008, 0xc2400100, 0xc2c4101d} // mov x8, #0x2000; ldr c0, [x8]; ldpbr c29, [c0]
	for _, c := range []struct {
		name, want string
		words      []uint32
	}{
		{"leave", "", nil},
		{"load the last bytes", "", []uint32{0xd287ff00, 0xf9400001}},                      // mov x0, #0x3ff8; ldr x1, [x0]
		{"load across the end", "bounds fault at 0x", []uint32{0xd287ff20, 0xf9400001}},    // mov x0, #0x3ff9
		{"store before the start", "bounds fault at 0x", []uint32{0x92800000, 0x39000001}}, // mov x0, #-1; strb w1, [x0]
		{"store to code", "permission fault at 0x", []uint32{0xd2820000, 0xf9000001}},      // mov x0, #0x1000; str x1, [x0]
		{"load through the code capability", "permission fault", []uint32{0x58000001}},     // ldr x1, .
		{"store a capability", "permission fault", []uint32{exit[0], exit[1], 0xc2000500}}, // str c0, [x8, #16]
		{"jump to data", "fault", []uint32{0xd2840000, 0xd61f0000}},                        // br x0
		{"jump outside", "bounds fault", []uint32{0xd2880000, 0xd61f0000}},                 // mov x0, #0x4000
		{"leave by a slot written to", "tag fault", []uint32{exit[0], 0xf9000100}},         // str x0, [x8]
		{"call the system", "system call (SVC)", []uint32{0xd4000001}},                     // svc #0
		{"end by the system", "system call: it ended", []uint32{0xd2800bc8, 0xd4000001}},   // mov x8, #94
		{"undefined", "undefined instruction", []uint32{0}},                                //
		{"see the host's vectors", "", []uint32{0x9eae0000, 0xb4000040, 0xd4200000}},       // fmov x0, v0.d[1]; cbz x0, .+8; brk
		{"see the host's thread", "", []uint32{0xd53bd040, 0xb4000040, 0xd4200000}},        // mrs x0, tpidr_el0
	} {
		words := append(append([]uint32{}, c.words...), exit...)
		var code []byte
		for _, w := range words {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
		got, err := tryNative(d, code, start, slot, size)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if (got.why == left) != (c.want == "") || !strings.Contains(got.detail, c.want) {
			return fmt.Errorf("%s: it ended with %q, and must with %q", c.name, got.detail, c.want)
		}
	}
	return nil
}

// tryNative runs code in a context of its own.
func tryNative(d driver, code []byte, start, slot uint64, size int) (stop, error) {
	memory, err := unix.Mmap(-1, 0, size+machinePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return stop{}, err
	}
	defer func() { _ = unix.Munmap(memory) }() // there is nobody to tell
	copy(memory[start:], code)
	c, err := d.prepare(&loader.Image{
		Segments: []loader.Segment{{Address: start, Size: uint64(len(code)), Data: code, Executable: true}},
		Entry:    start, Return: slot, Start: start, End: uint64(size), CodeEnd: start + uint64(len(code)),
	})
	if err != nil {
		return stop{}, err
	}
	t, err := c.enter(entered{memory: memory[:size+returnRoom], size: int64(size), stack: int64(start)})
	if err != nil {
		return stop{}, err
	}
	defer t.leave()
	const most = time.Second
	for range most / tick {
		if s := t.run(1); s.why != paused {
			return s, nil
		}
	}
	return stop{}, errors.New("it did not end")
}
