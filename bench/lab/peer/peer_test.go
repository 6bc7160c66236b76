package peer

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/usage"
	"pappus/bench/lab/worker"
	"pappus/bench/process"
)

// TestMain is also the program that serves as workers.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "worker" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := worker.Serve(ctx, os.Args[2], os.Args[3], os.Stdout)
		stop()
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "3" { // another peer's program, with so many functions
		os.Args = []string{os.Args[0], "worker", "native", ""}
		TestMain(m)
		return
	}
	if run, ok := standIns(); ok {
		if err := run(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const root = "../../.."

func setup(t *testing.T) Setup {
	t.Helper()
	s := Setup{Root: root, Self: os.Args[0], Scratch: t.TempDir(), Pappus: filepath.Join(t.TempDir(), "pappus")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.Pappus, "./cmd/pappus")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// Each peer computes what it is asked to, from its functions' first call on, and
// ends when it is told to.
func TestPeers(t *testing.T) {
	s := setup(t)
	s.Others = map[string]string{"another": os.Args[0]}
	s.Dandelion = prototype(t)
	s.Watchdog = filepath.Join(t.TempDir(), "of-watchdog")
	if err := called(filepath.Dir(s.Watchdog), "of-watchdog"); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.All() {
		t.Run(p.Name(), func(t *testing.T) {
			const functions = 3
			r, err := p.Start(t.Context(), functions)
			if errors.Is(err, ErrSkipped) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, rows := range []int{1, 128, 400} { // 400 rows do not fit the memory that a call begins with
				to := r.Asked(rows, func(n int) int { return n % r.Functions })
				o, err := load.Closed{Connections: 3, Duration: 20 * time.Millisecond}.Run(t.Context(), to.Dial)
				if err != nil || o.Done == 0 || o.Refused != 0 {
					t.Errorf("%d rows: %+v, %v", rows, o, err)
				}
			}
			if m, err := usage.Memory(r.PID); err != nil || m < 1<<20 {
				t.Errorf("memory %d, %v", m, err)
			}
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of Pappus nothing is loaded when it has started, and each function's first call
// loads it.
func TestNothingLoaded(t *testing.T) {
	s := setup(t)
	r, err := (&platform{Setup: s}).Start(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	server := &pappus.Server{Server: &process.Server{Addr: r.Addr}}
	c, err := r.Asked(1, func(n int) int { return n }).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if loads, err := server.Metric(t.Context(), pappus.Loads); err != nil || loads != float64(n) {
			t.Errorf("after %d calls %v functions were loaded, %v", n, loads, err)
		}
		if n < 2 {
			if err := c.Call(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(c.Close(), r.Stop()); err != nil {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s := Setup{Root: root, Self: os.Args[0], Scratch: t.TempDir()}
	for _, p := range []Peer{&node{s, "isolate", ""}, &watchdog{s}, &own{setup: s, kind: "exec"}, &watchdog{Setup{Watchdog: "/no/such"}}, &other{program: "/no/such"}} {
		if _, err := p.Start(t.Context(), 1); !errors.Is(err, ErrSkipped) || strings.TrimPrefix(err.Error(), "skipped: ") == "" {
			t.Errorf("%s: got %v, want that it is skipped, and why", p.Name(), err)
		}
	}
}

// Why it could not be built is said, where that was tried.
func TestWatchdogUnbuilt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	log := filepath.Join(t.TempDir(), "log")
	for said, want := range map[string]string{
		"go: downloading a\ngo: a@v1: no such host\n\n": "and building it from its Go module failed: go: a@v1: no such host",
		"one line": "failed: one line", "": "and building it from its Go module failed",
	} {
		if err := os.WriteFile(log, []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := (&watchdog{Setup{WatchdogLog: log}}).Start(t.Context(), 1)
		if !errors.Is(err, ErrSkipped) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", said, err, want)
		}
	}
	if _, err := (&watchdog{}).Start(t.Context(), 1); !errors.Is(err, ErrSkipped) || !strings.HasSuffix(err.Error(), "search path") {
		t.Errorf("without trying: got %v", err)
	}
}
