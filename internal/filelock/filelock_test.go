package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"pappus/internal/filelock"
)

func take(ctx context.Context, t *testing.T, path string) (unlock func()) {
	t.Helper()
	unlock, err := filelock.Take(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// ended is a context that waits for nothing.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// Whoever has the lock is alone.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var (
		group sync.WaitGroup
		turns atomic.Int32
	)
	const takers, each = 8, 4
	for range takers {
		group.Go(func() {
			for range each {
				unlock, err := filelock.Take(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				seen := turns.Load()
				runtime.Gosched() // others come in between, if they can
				turns.Store(seen + 1)
				unlock()
			}
		})
	}
	group.Wait()
	if n := turns.Load(); n != takers*each {
		t.Errorf("%d turns are counted of %d", n, takers*each)
	}
}

// Waiting ends with the context, and only waiting does.
func TestTakeWaitsNoLongerThanItMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock := take(ended(t), t, path)
	if _, err := filelock.Take(ended(t), path); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	unlock()
	take(ended(t), t, path)()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// The lock is the process's own: a program that it has started meanwhile does not
// keep it.
func TestChildrenDoNotKeepIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock := take(t.Context(), t, path)
	child := exec.CommandContext(t.Context(), "cat") // until its input ends
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	unlock()
	take(ended(t), t, path)()
	if err := errors.Join(stdin.Close(), child.Wait()); err != nil {
		t.Error(err)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "lock")
	var of *fs.PathError
	if _, err := filelock.Take(t.Context(), path); !errors.As(err, &of) || of.Path != path {
		t.Errorf("%v", err)
	}
}
