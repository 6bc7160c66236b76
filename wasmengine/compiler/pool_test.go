package compiler

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"pappus/wasmengine/binary/binarytest"
)

// The test binary is the compile process, too: a good one, and bad ones.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(child(os.Args[1]))
	}
	goleak.VerifyTestMain(m)
}

const good = "good"

// child is a compile process that behaves in some way.
func child(how string) int {
	ctx := context.Background()
	work := func() int { return Work(ctx, os.Stdin, os.Stdout, os.Stderr, os.Exit) }
	forever := func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		select {}
	}
	request := func() (string, []byte) {
		dir, code, err := readRequest(os.Stdin)
		if err != nil {
			os.Exit(exitFailed)
		}
		return dir, code
	}
	// leave compiles properly, does something to the folder, and says that all is well.
	leave := func(also func(dir string, code []byte) error) int {
		dir, code := request()
		v, _ := compile(ctx, dir, code)
		if err := also(dir, code); err != nil || writeReply(os.Stdout, v, "") != nil {
			return exitFailed
		}
		return work()
	}
	switch how {
	case good:
		return work()
	case "ends":
		return 0
	case "fails":
		request()
		return exitFailed
	case "killed":
		request()
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "killed later": // by the second module
		if err := serve(ctx, io.LimitReader(os.Stdin, int64(len(framed(later)))), os.Stdout, func() error { return nil }); err != nil {
			return exitFailed
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "hangs":
		request()
		forever()
	case "reads nothing":
		select {}
	case "closes":
		_ = os.Stdout.Close()
		forever()
	case "spins":
		watch(os.Exit)
		request()
		if allow(0) == nil {
			for n := 0; n >= 0; n = (n + 1) & 1 { // until its time is used up
				continue
			}
		}
	case "nonsense":
		_, _ = os.Stdout.WriteString(strings.Repeat("nonsense", 10))
		forever()
	case "endless text":
		_, _ = os.Stdout.Write(binary.BigEndian.AppendUint32([]byte{byte(invalid)}, maxText+1))
		forever()
	case "half a reply":
		_, _ = os.Stdout.Write([]byte{byte(compiled), 0})
	case "panics":
		request()
		_ = writeReply(os.Stdout, unable, "a defect")
		forever()
	case "leaves nothing":
		return leave(func(dir string, code []byte) error { return os.Remove(filepath.Join(dir, ThisTarget().File(code))) })
	case "leaves more":
		return leave(func(dir string, _ []byte) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) })
	case "leaves another":
		return leave(func(dir string, code []byte) error {
			return os.Rename(filepath.Join(dir, ThisTarget().File(code)), filepath.Join(dir, ThisTarget().folder, strings.Repeat("0", 64)))
		})
	case "leaves a link":
		return leave(func(dir string, code []byte) error {
			file := filepath.Join(dir, ThisTarget().File(code))
			return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file))
		})
	}
	return 99
}

func newPool(t testing.TB, how string, o Options) *Pool {
	t.Helper()
	o.Command = []string{"/proc/self/exe", how}
	if raceEnabled {
		o.Memory = 1 << 46 // the race detector reserves terabytes
	}
	p, err := NewPool(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// later is a module, and framed the request for it with a folder's path of 64 bytes.
var later = binarytest.Function(binarytest.Body(2, bytes.Repeat(binarytest.IfBlock(), 5)))

func framed(code []byte) []byte {
	var b bytes.Buffer
	_ = writeRequest(&b, strings.Repeat("d", 64), code)
	return b.Bytes()
}

// module makes different ones.
func module(n int) []byte {
	return binarytest.Function(binarytest.Body(n+1, bytes.Repeat(binarytest.IfBlock(), n)))
}

// wazero leaves machine code where Target.File says.
func TestFile(t *testing.T) {
	for n := range 3 {
		dir, code := t.TempDir(), module(n+1)
		if v, text := compile(t.Context(), dir, code); v != compiled {
			t.Fatalf("verdict %d: %s", v, text)
		}
		if err := holdsOnly(dir, ThisTarget().File(code)); err != nil {
			t.Error(err)
		}
	}
	a := ThisTarget()
	b, c := a, a
	b.processor++
	c.folder += "x"
	if a.String() == b.String() || a.String() == c.String() || a.File(nil) == b.File(nil) {
		t.Errorf("%s, %s and %s are different", a, b, c)
	}
}

// Whatever a process has compiled before, it makes the same machine code as a
// fresh one, and is asked again and again.
func TestModulesDoNotInfluenceEachOther(t *testing.T) {
	one := newPool(t, good, Options{Processes: 1})
	each := newPool(t, good, Options{Modules: 1})
	modules, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		if modules+refused >= 20 { // each takes two processes' time
			return
		}
		code := binarytest.Random(rt)
		if (modules+refused)%5 == 2 {
			code = binarytest.Function([]byte{0, 0x6a, 0x0b}) // i32.add of nothing
		}
		make1 := func(p *Pool) string {
			dir := t.TempDir()
			err := p.Compile(t.Context(), dir, code)
			var r *RefusedError
			if errors.As(err, &r) && r.Invalid {
				return "refused: " + r.Reason
			}
			if err != nil {
				rt.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, ThisTarget().File(code)))
			if err != nil {
				rt.Fatal(err)
			}
			return string(b)
		}
		used, fresh := make1(one), make1(each)
		if used != fresh {
			rt.Fatalf("%d bytes in a process that compiled %d modules before, %d in a fresh one", len(used), modules+refused, len(fresh))
		}
		if strings.HasPrefix(used, "refused") {
			refused++
		} else {
			modules++
		}
	})
	if modules < 5 || refused == 0 || one.Started() != 1 || each.Started() != uint64(modules+refused) {
		t.Errorf("%d modules and %d refused, in %d and %d processes", modules, refused, one.Started(), each.Started())
	}
}

func TestRecycling(t *testing.T) {
	compileAll := func(p *Pool, n int) {
		t.Helper()
		for i := range n {
			if err := p.Compile(t.Context(), t.TempDir(), module(i+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("by number", func(t *testing.T) {
		p := newPool(t, good, Options{Modules: 3})
		compileAll(p, 7)
		if n := p.Started(); n != 3 {
			t.Errorf("%d processes for 7 modules, 3 each", n)
		}
	})
	t.Run("by size", func(t *testing.T) {
		p := newPool(t, good, Options{Resident: 1})
		compileAll(p, 2)
		if n := p.Started(); n != 2 {
			t.Errorf("%d processes for 2 modules after which they are too large", n)
		}
	})
	t.Run("by time", func(t *testing.T) {
		p := newPool(t, good, Options{Idle: time.Hour})
		compileAll(p, 1)
		c := p.idle[0]
		p.expire(c)
		<-c.done
		compileAll(p, 1)
		if n := p.Started(); n != 2 {
			t.Errorf("%d processes, of which one was idle for too long", n)
		}
		p.expire(c) // it is not there any more
		short := newPool(t, good, Options{Idle: time.Nanosecond})
		compileAll(short, 3)
		short.running.Wait() // nothing else ends them
	})
	t.Run("killed while it waits", func(t *testing.T) {
		p := newPool(t, good, Options{})
		compileAll(p, 1)
		c := p.idle[0]
		if err := unix.Kill(c.cmd.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-c.done
		compileAll(p, 1)
	})
	t.Run("killed by its second module", func(t *testing.T) {
		// The second module is tried again, in a process that has seen no other.
		p := newPool(t, "killed later", Options{})
		for i := range 2 {
			dir := t.TempDir()
			dir += "/" + strings.Repeat("d", 64-1-len(dir)) // as framed has it
			if err := p.Compile(t.Context(), dir, later); err != nil {
				t.Errorf("module %d: %v", i, err)
			}
		}
		if n := p.Started(); n != 2 {
			t.Errorf("%d processes", n)
		}
	})
}

// Whatever a process does, its parent gets an answer and is rid of it.
func TestBrokenProcesses(t *testing.T) {
	process := func(err error) bool { return errors.Is(err, ErrProcess) }
	costly := func(err error) bool {
		var r *RefusedError
		return errors.As(err, &r) && r.Costly
	}
	defect := func(err error) bool {
		var r *RefusedError
		return errors.As(err, &r) && !r.Costly && !r.Invalid
	}
	for _, c := range []struct {
		how     string
		timeout time.Duration
		want    func(error) bool
	}{
		{"ends", 0, process}, {"fails", 0, process}, {"closes", 0, process}, {"nonsense", 0, process}, {"endless text", 0, process},
		{"half a reply", 0, costly}, // it ended with a status that means nothing
		{"killed", 0, costly}, {"hangs", 200 * time.Millisecond, costly}, {"reads nothing", 200 * time.Millisecond, costly}, {"spins", 0, costly},
		{"panics", 0, defect},
		{"leaves nothing", 0, process}, {"leaves more", 0, process}, {"leaves another", 0, process}, {"leaves a link", 0, process},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			p := newPool(t, c.how, Options{Timeout: c.timeout})
			code := module(3)
			if c.how == "reads nothing" {
				code = append(code, make([]byte, 1<<20)...) // more than a pipe takes
			}
			if err := p.Compile(t.Context(), t.TempDir(), code); !c.want(err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if _, err := NewPool(Options{Modules: -1}); err == nil {
		t.Error("a negative number was accepted")
	}
	p, err := NewPool(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Compile(t.Context(), t.TempDir(), module(1)); !costly(err) {
		t.Errorf("without a command: %v", err)
	}
	bad := newPool(t, good, Options{})
	if err := bad.Compile(t.Context(), "/proc/self/exe/folder", module(1)); !errors.Is(err, ErrFolder) {
		t.Errorf("without a folder: %v", err)
	}
}

func TestCancel(t *testing.T) {
	p := newPool(t, "hangs", Options{Processes: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- p.Compile(ctx, t.TempDir(), module(1)) }()
	waiting, stop := context.WithCancel(t.Context())
	stop()
	if err := p.Compile(waiting, t.TempDir(), module(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that waited: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was under way: %v", err)
	}
}

// After Close no process is left, whatever it was doing.
func TestClose(t *testing.T) {
	p := newPool(t, "hangs", Options{})
	idle := newPool(t, good, Options{})
	if err := idle.Compile(t.Context(), t.TempDir(), module(1)); err != nil {
		t.Fatal(err)
	}
	pid := idle.idle[0].cmd.Process.Pid
	var calls sync.WaitGroup
	for range 4 { // two of them wait for the others
		calls.Go(func() {
			if err := p.Compile(t.Context(), t.TempDir(), module(1)); !errors.Is(err, ErrClosed) {
				t.Errorf("a call under way: %v", err)
			}
		})
	}
	for p.Started() < 2 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // until both are started, however long that takes
	}
	p.Close()
	idle.Close()
	calls.Wait()
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the idle process: %v", err)
	}
	if err := p.Compile(t.Context(), t.TempDir(), module(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	p.Close()
}

// No more processes than asked for, and each is used by one call at a time.
func TestConcurrency(t *testing.T) {
	p := newPool(t, good, Options{Processes: 2})
	var calls sync.WaitGroup
	for n := range 12 {
		calls.Go(func() {
			if err := p.Compile(t.Context(), t.TempDir(), module(n+1)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := p.Started(); n > 2 {
		t.Errorf("%d processes were started", n)
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	if err := writeRequest(&b, "dir", []byte("code")); err != nil {
		t.Fatal(err)
	}
	if dir, code, err := readRequest(&b); dir != "dir" || string(code) != "code" || err != nil {
		t.Errorf("%q %q %v", dir, code, err)
	}
	whole := framed([]byte("code"))
	for n := range whole {
		_, _, err := readRequest(bytes.NewReader(whole[:n]))
		if want := io.ErrUnexpectedEOF; n > 0 && !errors.Is(err, want) || n == 0 && !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes of a request: %v", n, err)
		}
	}
	if err := writeRequest(&b, strings.Repeat("x", maxDir+1), nil); !errors.Is(err, errFrame) {
		t.Errorf("a long path: %v", err)
	}
	for _, head := range [][]byte{slices.Concat([]byte{0, 0, 16, 1}, make([]byte, 8)), slices.Concat(make([]byte, 4), []byte{0, 0, 0, 0, 64, 0, 0, 1})} {
		if _, _, err := readRequest(bytes.NewReader(head)); !errors.Is(err, errFrame) {
			t.Errorf("a request that begins %x: %v", head, err)
		}
	}
	if err := serve(t.Context(), bytes.NewReader([]byte{1}), io.Discard, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a request: %v", err)
	}
}

// Whatever a child says, reading it ends within bounds.
func FuzzReadReply(f *testing.F) {
	for _, text := range []string{"", "why", strings.Repeat("x", maxText+1)} {
		var b bytes.Buffer
		if err := writeReply(&b, invalid, text); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, text, err := readReply(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeReply(&again, v, text); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("%x was read as %d, %q (%v)", b, v, text, err)
		}
	})
}

// A runtime that finds machine code does not compile.
func TestMachineCodeIsFound(t *testing.T) {
	dir, code := t.TempDir(), module(7)
	if err := newPool(t, good, Options{}).Compile(t.Context(), dir, code); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(dir, ThisTarget().File(code)))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	rt := wazero.NewRuntimeWithConfig(t.Context(), Config().WithCompilationCache(cache))
	if _, err := rt.CompileModule(t.Context(), code); err != nil {
		t.Error(err)
	}
	after, err := os.Stat(filepath.Join(dir, ThisTarget().File(code)))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again (%v)", err)
	}
	if err := errors.Join(rt.Close(t.Context()), cache.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
