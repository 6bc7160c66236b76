package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"pappus/server/problem"
)

const echoManifest = `{"inputs": ["a"], "outputs": ["a"]}`

// What an operator can change while the server runs holds for the next request.
func TestReload(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "echo", echoManifest)
	const origin = "https://friend.example"
	body := strings.Repeat("x", 2000)
	ask := func(header ...string) *httptest.ResponseRecorder {
		return s.ask(t, http.MethodPost, "/v1/invoke/f", "text/plain", body, header...)
	}
	wantProblem(t, ask("Origin", origin), problem.ForeignOrigin)
	wantProblem(t, ask("Host", "pappus.example"), problem.ForeignHost)

	if err := s.Reload(Config{Origins: []string{origin}, Hosts: []string{"Pappus.Example"}, AccessLog: true, AllowRemote: true}); err != nil {
		t.Fatal(err)
	}
	if w := ask("Origin", origin); w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask("Host", "pappus.example"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if log := s.log.String(); strings.Count(log, "msg=request") != 2 {
		t.Errorf("the log is %s", log)
	}
	wantProblem(t, ask("Host", "192.0.2.1"), problem.ForeignHost) // AllowRemote belongs to the listener

	if err := s.Reload(Config{BodyLimit: 1000}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, ask(), problem.RequestTooLarge)
	wantProblem(t, ask("Origin", origin), problem.ForeignOrigin)

	if err := s.Reload(Config{BodyLimit: -1, Origins: []string{origin}}); err == nil {
		t.Error("a negative limit was taken")
	}
	wantProblem(t, ask("Origin", origin), problem.ForeignOrigin)
	if err := (Config{Rate: -1}).Check(); err == nil {
		t.Error("a check finds nothing")
	}
}

// A request is answered under the configuration that held when it came.
func TestReloadWhileRequestRuns(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "wait", echoManifest)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if w := s.ask(t, http.MethodPost, "/v1/invoke/f", "text/plain", "x"); w.Code >= http.StatusBadRequest {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}()
	<-s.engine.started
	if err := s.Reload(Config{AccessLog: true}); err != nil {
		t.Fatal(err)
	}
	close(s.engine.gate)
	<-done
	if log := s.log.String(); log != "" {
		t.Errorf("the log is %s", log)
	}
}

// Requests and reloads at once: no request sees parts of two configurations.
func TestReloadUnderLoad(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "echo", echoManifest)
	const small, large = "https://small.example", "https://large.example"
	configs := []Config{{Origins: []string{small}, BodyLimit: 1000}, {Origins: []string{large}, BodyLimit: 3000}}
	if err := s.Reload(configs[0]); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	ctx, stop := context.WithCancel(t.Context())
	var reloads sync.WaitGroup
	for range 2 {
		reloads.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := s.Reload(configs[i%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	body := strings.Repeat("x", 2000)
	var requests sync.WaitGroup
	for g := range 4 {
		requests.Go(func() {
			for range 200 {
				origin, otherwise := large, http.StatusOK
				if g%2 == 0 {
					origin, otherwise = small, http.StatusRequestEntityTooLarge
				}
				if status := statusFor(t, front, origin, body); status != http.StatusForbidden && status != otherwise {
					t.Errorf("%s: %d", origin, status)
				}
			}
		})
	}
	requests.Wait()
	stop()
	reloads.Wait()
}

// statusFor invokes f as a page of that origin does, and returns the status.
func statusFor(t *testing.T, front *httptest.Server, origin, body string) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/v1/invoke/f", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("Origin", origin)
	answer, err := front.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(err)
	}
	return answer.StatusCode
}
