package compiler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"
)

// Environment of a compile process: bytes of address space that it may use,
// and seconds of processor time for each module.
const (
	memoryEnv  = "PAPPUS_COMPILE_MEMORY"
	secondsEnv = "PAPPUS_COMPILE_SECONDS"
)

// Exit statuses of a compile process besides 0, which follows the end of its
// input. Whatever else it ends with was forced upon it.
const (
	exitFailed = 1 // it could not work; why is on stderr
	exitTime   = 3 // a module took more processor time than it may
)

// Work is the main function of a compile process: it compiles the modules that
// come over stdin, each into the folder that comes with it, answers on stdout,
// and returns the process's exit status once there are no more. Before it
// looks at anything it limits its own memory; the limit of its processor time
// is raised for each module. So a module can't do more than end this process,
// which Work then calls exit for.
func Work(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, exit func(status int)) int {
	seconds, err := limit()
	if err == nil {
		watch(exit)
		err = serve(ctx, stdin, stdout, func() error { return allow(seconds) })
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return 0
}

// watch has the process exit when its processor time is used up.
func watch(exit func(status int)) {
	outOfTime := make(chan os.Signal, 1)
	signal.Notify(outOfTime, unix.SIGXCPU)
	go func() {
		<-outOfTime
		exit(exitTime)
	}()
}

// serve answers requests until there are no more. It calls begin before each.
func serve(ctx context.Context, in io.Reader, out io.Writer, begin func() error) error {
	for {
		dir, code, err := readRequest(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a module: %w", err)
		}
		if err := begin(); err != nil {
			return err
		}
		v, text := compile(ctx, dir, code)
		if err := writeReply(out, v, text); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		// The next module gets the memory that this one took, and nothing else.
		code = nil //nolint:ineffassign,wastedassign // it would stay reachable
		debug.FreeOSMemory()
	}
}

// compile compiles one module with a runtime of its own.
func compile(ctx context.Context, dir string, code []byte) (v verdict, text string) {
	defer func() {
		if r := recover(); r != nil {
			v, text = unable, fmt.Sprint(r)
		}
	}()
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return unwritable, err.Error()
	}
	rt := wazero.NewRuntimeWithConfig(ctx, Config().WithCompilationCache(cache))
	_, err = rt.CompileModule(ctx, code)
	err = errors.Join(err, rt.Close(ctx), cache.Close(ctx))
	switch {
	case err == nil:
		return compiled, ""
	case OfFiles(err):
		return unwritable, err.Error()
	default:
		return invalid, err.Error()
	}
}

// OfFiles reports whether an error of CompileModule is about the folder that
// is compiled into, and not about the module.
func OfFiles(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &link)
}

// limit sets the limits that hold for the whole life of the process, and
// returns the seconds of processor time for each module.
func limit() (seconds uint64, err error) {
	memory, err := number(memoryEnv)
	if err != nil {
		return 0, err
	}
	seconds, err = number(secondsEnv)
	if err != nil {
		return 0, err
	}
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: memory, Max: memory}); err != nil {
		return 0, fmt.Errorf("limit address space: %w", err)
	}
	debug.SetMemoryLimit(int64(min(memory/2, math.MaxInt64)))
	// No core file of a process that was made to run out of memory.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return 0, fmt.Errorf("limit core files: %w", err)
	}
	return seconds, nil
}

func number(env string) (uint64, error) {
	n, err := strconv.ParseUint(os.Getenv(env), 10, 63)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		return 0, fmt.Errorf("%s must be a number above 0: %w", env, err)
	}
	return n, nil
}

// allow lets the process use so many more seconds of processor time. The hard
// limit stays as it was found, since it could not be raised again.
func allow(seconds uint64) error {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return fmt.Errorf("read the processor time: %w", err)
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CPU, &lim); err != nil {
		return fmt.Errorf("read the limit of processor time: %w", err)
	}
	sofar := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	lim.Cur = min(uint64(sofar/time.Second)+1+seconds, lim.Max)
	if err := unix.Setrlimit(unix.RLIMIT_CPU, &lim); err != nil {
		return fmt.Errorf("limit processor time: %w", err)
	}
	return nil
}
