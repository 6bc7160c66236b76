package wasmengine

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"
)

// Environment of the compile process: bytes of address space and seconds of
// processor time that it may use.
const (
	workerMemoryEnv  = "PAPPUS_COMPILE_MEMORY"
	workerSecondsEnv = "PAPPUS_COMPILE_SECONDS"
)

// CompileWorker is the main function of the compile process: it reads one
// metered module from stdin, compiles it, leaves the code in the folder dir,
// and returns the process's exit status. Before it looks at the module it
// limits its own memory and processor time, so that the module can't do more
// than end this process.
func CompileWorker(ctx context.Context, dir string, stdin io.Reader, stderr io.Writer) int {
	if err := limitWorker(); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return workerInternal
	}
	code, err := io.ReadAll(stdin)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "read the module:", err)
		return workerInternal
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "open the folder for compiled code:", err)
		return workerInternal
	}
	rt := wazero.NewRuntimeWithConfig(ctx, runtimeConfig().WithCompilationCache(cache))
	if _, err := rt.CompileModule(ctx, code); err != nil {
		_, _ = fmt.Fprint(stderr, err)
		return workerInvalid
	}
	return workerOK // the process ends: closing would only cost time
}

// limitWorker sets the limits that the environment names.
func limitWorker() error {
	for _, l := range []struct {
		env      string
		resource int
		name     string
	}{{workerMemoryEnv, unix.RLIMIT_AS, "address space"}, {workerSecondsEnv, unix.RLIMIT_CPU, "processor time"}} {
		n, err := strconv.ParseUint(os.Getenv(l.env), 10, 63)
		if err != nil || n == 0 {
			return fmt.Errorf("%s must be a number: %w", l.env, err)
		}
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		if l.resource == unix.RLIMIT_AS {
			debug.SetMemoryLimit(int64(min(n/2, math.MaxInt64)))
		}
	}
	// No core file of a process that was made to run out of memory.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("limit core files: %w", err)
	}
	return nil
}
