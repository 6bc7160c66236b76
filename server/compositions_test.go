package server

import (
	"net/http"
	"testing"

	"pappus/engine"
	"pappus/registry"
	"pappus/server/api"
	"pappus/server/problem"
)

// The routes of functions know no compositions, and say what has the name.
func TestFunctionsAreNotCompositions(t *testing.T) {
	s := newServer(t)
	f := s.put(t, "f", "echo", "")
	reg, ok := s.registry.(*registry.Registry)
	if !ok {
		t.Fatal("the server has another registry")
	}
	if _, _, err := reg.Put(t.Context(), registry.Registration{
		Tenant: registry.DefaultTenant, Name: "c", Kind: registry.KindComposition, Graph: []byte("{}"),
		Uses: []registry.Use{{Name: "f", Signature: engine.Signature{Inputs: f.Inputs, Outputs: f.Outputs, Open: f.Open}}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		want         problem.Code
	}{
		{http.MethodGet, "/v1/functions/c", problem.UnknownFunction},
		{http.MethodGet, "/v1/functions/c@1", problem.UnknownFunction},
		{http.MethodGet, "/v1/functions/c/code", problem.UnknownFunction},
		{http.MethodGet, "/v1/functions/c/versions", problem.UnknownFunction},
		{http.MethodPut, "/v1/functions/c/tags/t", problem.UnknownFunction},
		{http.MethodDelete, "/v1/functions/c/tags/latest", problem.UnknownFunction},
		{http.MethodDelete, "/v1/functions/c", problem.UnknownFunction},
		{http.MethodDelete, "/v1/functions/f", problem.InUse},
	} {
		wantProblem(t, s.ask(t, c.method, c.path, "", "1"), c.want)
	}
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/c", "application/wasm", code("echo", "")), problem.OtherKind)
	page := decodeBody[api.Page](t, s.ask(t, http.MethodGet, "/v1/functions", "", ""))
	if len(page.Items) != 1 || page.Items[0].Name != "f" {
		t.Errorf("the list is %+v", page.Items)
	}
	if n, err := reg.Tags(t.Context(), registry.DefaultTenant, "c"); err != nil || len(n) != 1 {
		t.Errorf("the composition's tags are %v (%v)", n, err)
	}
}
