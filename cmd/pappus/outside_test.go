package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pappus/iofuncs/httpcache"
)

// Rules are of the tenants that they name.
func TestRulesOfTenants(t *testing.T) {
	for _, c := range []struct {
		allow, deny []string
		want        map[string]string
	}{
		{nil, nil, map[string]string{"default": "", "other": ""}},
		{
			[]string{"127.0.0.1", "other@10.0.0.1:80", "*@10.0.0.2"}, []string{"*", "third@1.1.1.1"},
			map[string]string{
				"default": "allow 10.0.0.2, allow 127.0.0.1, deny *", "other": "allow 10.0.0.1:80, allow 10.0.0.2",
				"third": "allow 10.0.0.2, deny 1.1.1.1", "nobody": "allow 10.0.0.2",
			},
		},
		{[]string{"a.b-c_D@x"}, nil, map[string]string{"a.b-c_D": "allow x", "default": ""}},
	} {
		all, err := policies(c.allow, c.deny)
		if err != nil {
			t.Error(err)
			continue
		}
		for tenant, want := range c.want {
			if got := all(tenant).String(); got != want {
				t.Errorf("%v, %v of %s: %q, want %q", c.allow, c.deny, tenant, got, want)
			}
		}
	}
	for _, text := range []string{"@x", "a b@x", "a@", "a@b@c", "-a@x", "a/b@x", "x@http://y"} {
		if checkRule(text) == nil {
			t.Errorf("%q is a rule", text)
		}
	}
	if checkAllowed("a@*") == nil {
		t.Error("a tenant can be allowed everything")
	}
}

// A change is seen under all rules that a server has had.
func TestChangesAcrossRules(t *testing.T) {
	cache, err := httpcache.Open(httpcache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	}()
	content := "old"
	origin := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(content)),
			Header: http.Header{"Cache-Control": {"max-age=1000"}}, Body: io.NopCloser(strings.NewReader(content)), Request: r,
		}, nil
	})
	ask := func(method string, allow ...string) string {
		t.Helper()
		o := outside{allow: allow}
		rules, err := o.makeRules(cache)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://10.0.0.1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rules.Through("default", origin).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if got := ask(http.MethodGet, "10.0.0.1"); got != "old" {
		t.Error(got)
	}
	content = "new"
	if got := ask(http.MethodGet, "10.0.0.1"); got != "old" {
		t.Errorf("%s under the same rules", got)
	}
	if got := ask(http.MethodGet, "10.0.0.0/8"); got != "new" {
		t.Errorf("%s under others", got)
	}
	ask(http.MethodPost, "10.0.0.0/8")
	if got := ask(http.MethodGet, "10.0.0.1"); got != "new" {
		t.Errorf("%s after the change", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
