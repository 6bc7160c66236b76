package problem

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"pappus/engine"
	"pappus/server/api"
)

func TestCatalogue(t *testing.T) {
	seen := map[Code]bool{}
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, e := range Catalogue() {
		if seen[e.Code] || !name.MatchString(string(e.Code)) {
			t.Errorf("%q appears twice or is no name", e.Code)
		}
		seen[e.Code] = true
		if e.Title == "" || strings.HasSuffix(e.Title, ".") || http.StatusText(e.Status) == "" {
			t.Errorf("%s: %d %q", e.Code, e.Status, e.Title)
		}
		for _, text := range []string{e.Hint, e.Description} {
			if !strings.HasSuffix(text, ".") || len(text) < 10 {
				t.Errorf("%s: %q is no sentence", e.Code, text)
			}
		}
		if got, ok := Lookup(e.Code); !ok || got != e {
			t.Errorf("%s is not found", e.Code)
		}
	}
}

// Faults have the statuses that clients were promised.
func TestFaultStatuses(t *testing.T) {
	want := map[engine.FaultKind]int{
		engine.FaultTrap: 422, engine.FaultExit: 422, engine.FaultOutOfMemory: 422, engine.FaultOutOfFuel: 422,
		engine.FaultOutOfStack: 422, engine.FaultBadOutput: 422, engine.FaultOutputTooLarge: 422,
		engine.FaultLimitApplications: 422, engine.FaultLimitInstances: 422, engine.FaultLimitItems: 422, engine.FaultLimitBytes: 422,
		engine.FaultLimitNesting: 422, engine.FaultLimitTime: 422, engine.FaultItemCount: 422, engine.FaultEgressRefused: 422,
		engine.FaultIOFailed: 502, engine.FaultIOTimeout: 504, engine.FaultDeadline: 504, engine.FaultNotCached: 504,
		engine.FaultCanceled: 409, engine.FaultOverload: 503,
	}
	for _, kind := range engine.FaultKinds() {
		status, ok := want[kind]
		p := FromFault(&engine.Fault{Kind: kind, Detail: "detail"})
		if !ok || p.Status != status || p.Code() != Code(kind) || p.Detail != "detail" {
			t.Errorf("%s: %+v, want status %d", kind, p, status)
		}
		delete(want, kind)
	}
	if len(want) > 0 {
		t.Errorf("no faults: %v", want)
	}
}

func TestFromFault(t *testing.T) {
	cause := errors.New("cause")
	p := FromFault(&engine.Fault{
		Kind: engine.FaultExit, ExitCode: -1, Stderr: []byte("no"), Stack: []string{"f()"}, Usage: engine.Usage{Fuel: 5, MemoryPages: 2}, Err: cause,
	})
	if p.ExitCode == nil || *p.ExitCode != -1 || p.Stderr != "no" || len(p.Stack) != 1 || *p.Usage != (api.Usage{Fuel: 5, MemoryPages: 2}) || p.Index != nil || !errors.Is(p, cause) {
		t.Errorf("%+v", p)
	}
	if p.Error() != "exit" {
		t.Error(p.Error())
	}
	if p := FromFault(&engine.Fault{Kind: engine.FaultTrap, Application: "a", Instance: 3, Item: "i"}); p.ExitCode != nil || *p.Index != 3 || p.Item != "i" {
		t.Errorf("%+v", p)
	}
	if p := FromFault(&engine.Fault{Kind: engine.FaultOverload}); p.RetryAfter != time.Second || p.Usage != nil {
		t.Errorf("%+v", p)
	}
	if p := New("no-such-code", "detail"); p.Code() != Internal || p.Error() != "internal: detail" {
		t.Errorf("%+v", p)
	}
}
