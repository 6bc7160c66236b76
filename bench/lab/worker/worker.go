package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"pappus/bench/lab/native"
)

// A runner runs functions by their number. It may be used from many
// goroutines.
type runner interface {
	Run(ctx context.Context, function int, in []byte) ([]byte, error)
}

// kinds are the ways that there are, with what makes a runner of a folder.
func kinds() map[string]func(folder string) (runner, error) {
	return map[string]func(string) (runner, error){
		"echo":            func(string) (runner, error) { return same{}, nil },
		"native":          newLinked,
		"exec":            func(folder string) (runner, error) { return process{folder}, nil },
		"wasmtime":        func(folder string) (runner, error) { return newWasmtime(folder, false, false) },
		"wasmtime-pooled": func(folder string) (runner, error) { return newWasmtime(folder, true, false) },
		"wasmtime-reused": func(folder string) (runner, error) { return newWasmtime(folder, false, true) },
	}
}

var errInput = errors.New("the input is not a size")

const (
	largest  = 1 << 20 // bytes of an input
	mostRows = 65535
)

// Serve listens on loopback, prints "listening on http://ADDRESS" and serves
// the folder's functions until ctx ends.
func Serve(ctx context.Context, kind, folder string, out io.Writer) error {
	served, err := handlerOf(kind, folder) //nolint:contextcheck // calls have the contexts of their requests
	if err != nil {
		return fmt.Errorf("worker %s: %w", kind, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "listening on http://%s\n", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	s := &http.Server{Handler: served, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// Files is the kind that serves a folder's files as they are, for functions that
// fetch them.
const Files = "files"

func handlerOf(kind, folder string) (http.Handler, error) {
	if kind == Files {
		return http.FileServerFS(os.DirFS(folder)), nil
	}
	newRunner := kinds()[kind]
	if newRunner == nil {
		return nil, errors.New("there is no such kind of worker")
	}
	r, err := newRunner(folder)
	if err != nil {
		return nil, err
	}
	return handler(r), nil
}

func handler(r runner) http.Handler {
	e := echo.New()
	e.POST("/:function", func(c echo.Context) error {
		function, err := strconv.ParseUint(strings.TrimPrefix(c.Param("function"), "f"), 10, 31)
		if err != nil {
			return echo.NewHTTPError(http.StatusNotFound, "the path is not /f and a number")
		}
		in, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, largest))
		if err != nil {
			return err
		}
		answer, err := r.Run(c.Request().Context(), int(function), in)
		if err != nil {
			return echo.NewHTTPError(http.StatusInternalServerError, err.Error())
		}
		return c.Blob(http.StatusOK, echo.MIMETextPlainCharsetUTF8, answer)
	})
	return e
}

// same answers what it is asked: what a server costs that does nothing.
type same struct{}

func (same) Run(_ context.Context, _ int, in []byte) ([]byte, error) { return in, nil }

// linked does the work in this process, without an isolate. As many as there are
// processors compute at once.
type linked struct{ permits chan struct{} }

func newLinked(string) (runner, error) {
	if !native.Compiled {
		return nil, errors.New("built without cgo")
	}
	return linked{make(chan struct{}, runtime.NumCPU())}, nil
}

func (l linked) Run(_ context.Context, _ int, in []byte) ([]byte, error) {
	rows, err := strconv.Atoi(strings.TrimSpace(string(in)))
	if err != nil || rows < 1 || rows > mostRows {
		return nil, errInput
	}
	l.permits <- struct{}{}
	defer func() { <-l.permits }()
	sum, ok := native.Checksum(rows)
	if !ok {
		return nil, errors.New("there is no memory for that")
	}
	return append(strconv.AppendUint(nil, sum, 10), '\n'), nil
}

// process starts a process for each call.
type process struct{ folder string }

func (p process) Run(ctx context.Context, function int, in []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.folder, strconv.Itoa(function)+".bin"))
	cmd.Stdin = strings.NewReader(string(in))
	return cmd.Output()
}

// loaded keeps what was made of a function's file when it was first called.
type loaded[T any] struct {
	load func(function int) (T, error)

	mu  sync.Mutex
	all map[int]func() (T, error)
}

func (l *loaded[T]) get(function int) (T, error) {
	l.mu.Lock()
	once := l.all[function]
	if once == nil {
		if l.all == nil {
			l.all = map[int]func() (T, error){}
		}
		once = sync.OnceValues(func() (T, error) { return l.load(function) })
		l.all[function] = once
	}
	l.mu.Unlock()
	return once()
}
