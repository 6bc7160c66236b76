package pappus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"pappus/bench/process"
)

// A Server is one of Pappus, in a process of its own on loopback.
type Server struct {
	*process.Server
}

// Start starts a program on a data folder, with more flags. The caller stops it.
func Start(ctx context.Context, program, data string, flags ...string) (*Server, error) {
	p, err := process.Start(ctx, program, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)...)
	if err != nil {
		return nil, err
	}
	return &Server{p}, nil
}

// Fresh is the query under which nothing of a function is remembered: what is
// measured is calls.
const Fresh = "memo=off"

// Register registers a function, with query as its settings.
func (s *Server) Register(ctx context.Context, name string, code []byte, query string) error {
	return s.put(ctx, "functions/"+name+"?"+query, "application/wasm", code)
}

// Compose registers a composition.
func (s *Server) Compose(ctx context.Context, name string, text []byte) error {
	return s.put(ctx, "compositions/"+name, "text/plain", text)
}

// RegisterVariants registers functions of the same code as different modules,
// each under the name of its number, from one to the one before end.
func (s *Server) RegisterVariants(ctx context.Context, code []byte, from, end int, query string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for k := from; k < end && ctx.Err() == nil; k++ {
		group.Go(func() error { return s.Register(ctx, Name(k), Variant(code, k), query) })
	}
	return group.Wait()
}

// Name of a function that is one of many.
func Name(k int) string { return "f" + strconv.Itoa(k) }

// Path at which a function or a composition is called.
func Path(name string) string { return "/v1/invoke/" + name }

// Variant is the module with a custom section that no other one has.
func Variant(code []byte, k int) []byte {
	section := fmt.Sprintf("\x07variant%09d", k)
	return append(append(code[:len(code):len(code)], 0, byte(len(section))), section...)
}

func (s *Server) put(ctx context.Context, path, kind string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.Addr+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	return s.ask(req, nil)
}

// ask sends a request and hands the answer on.
func (s *Server) ask(req *http.Request, read func(io.Reader) error) error {
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return errors.Join(fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, answer.Status, text), err)
	}
	if read != nil {
		if err := read(answer.Body); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, answer.Body) // so that the connection serves the next one
	return err
}

// Metric is the value of a metric by its name with labels, as /metrics writes it.
func (s *Server) Metric(ctx context.Context, name string) (value float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	found := false
	err = s.ask(req, func(r io.Reader) error {
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				found = true
				value, err = strconv.ParseFloat(strings.TrimSpace(rest), 64)
				return err
			}
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("the server has no metric %s", name)
	}
	return value, err
}

// Loads is the metric that counts how often a function was made ready to be
// called: compiled, or loaded from the disk. Each adds one to it.
const Loads = `pappus_compile_seconds_count{result="ok"}`
