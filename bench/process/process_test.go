package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the program that is started: its argument says what it does.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(program(os.Args[1]))
	}
	goleak.VerifyTestMain(m)
}

func program(what string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch what {
	case "parent":
		s, err := Start(ctx, os.Args[0], "serve")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Printf("listening on http://%d\n", s.PID())
		<-ctx.Done()
	case "serve", "fail":
		fmt.Println("listening on http://127.0.0.1:1")
		// More than a pipe holds, which nobody needs to read.
		fmt.Println(strings.Repeat("x", 1<<20))
		<-ctx.Done()
	case "other":
		fmt.Println("hello")
		<-ctx.Done()
	}
	if what == "fail" {
		fmt.Fprintln(os.Stderr, "it broke")
		return 3
	}
	return 0
}

func TestStartAndStop(t *testing.T) {
	s, err := Start(t.Context(), os.Args[0], "serve")
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr != "127.0.0.1:1" || s.PID() <= 0 {
		t.Errorf("it has address %q and number %d", s.Addr, s.PID())
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// How a server ended is told by Stop, with the end of what it logged.
func TestEndsBadly(t *testing.T) {
	s, err := Start(t.Context(), os.Args[0], "fail")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("got %v, want what it logged", err)
	}
}

func TestDoesNotListen(t *testing.T) {
	for _, what := range []string{"other", "end"} {
		if _, err := Start(t.Context(), os.Args[0], what); err == nil {
			t.Errorf("%s: it started", what)
		}
	}
	if _, err := Start(t.Context(), "/no/such/program"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}
