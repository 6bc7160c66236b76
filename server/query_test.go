package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pappus/server/problem"
)

// A function called by GET sees what it would see of the same items in a body.
func TestInvokeByQuery(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", `{"inputs": ["a", "b"], "outputs": ["x", "y"]}`)
	s.put(t, "open", "echo", "")
	s.put(t, "none", "echo", `{"inputs": [], "outputs": ["x"]}`)
	get := func(target string) string {
		t.Helper()
		w := s.ask(t, http.MethodGet, "/v1/invoke/"+target, "", "", "Accept", "application/json")
		if w.Code != http.StatusOK || w.Header().Get("Pappus-Fuel") == "" || w.Header().Get("Server-Timing") == "" {
			t.Errorf("%s: %d %v %s", target, w.Code, w.Header(), w.Body)
		}
		return w.Body.String()
	}
	query := url.Values{"in.a": {"first", "", "with space & more=%"}, "in.b": {"ä\n"}}.Encode()
	posted := s.ask(t, http.MethodPost, "/v1/invoke/echo", "application/json",
		`{"inputs": {"a": [{"text": "first"}, {"text": ""}, {"text": "with space & more=%"}], "b": [{"text": "ä\n"}]}}`, "Accept", "application/json")
	if got := get("echo?" + query); got != posted.Body.String() {
		t.Errorf("by GET\n%sby POST\n%s", got, posted.Body)
	}
	for target, want := range map[string]string{
		"echo":             `{"x":[],"y":[]}`,
		"echo?":            `{"x":[],"y":[]}`,
		"echo?in.b=&&":     `{"x":[],"y":[{"name":"","key":0,"data":""}]}`,
		"echo@1?in.a=YQ":   `{"x":[{"name":"","key":0,"data":"WVE="}],"y":[]}`,
		"echo?in.a":        `{"x":[{"name":"","key":0,"data":""}],"y":[]}`,
		"open?in.new.set=": `{"output":[{"name":"","key":0,"data":""}]}`,
	} {
		if got := get(target); !strings.HasPrefix(got, `{"outputs":`+want) {
			t.Errorf("%s gives %s", target, got)
		}
	}
	if w := s.ask(t, http.MethodGet, "/v1/invoke/echo?in.a=words", "", ""); w.Code != http.StatusOK || w.Body.String() != "words" {
		t.Errorf("raw: %d %s", w.Code, w.Body)
	}
	if w := s.ask(t, http.MethodGet, "/v1/invoke/none", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("nothing: %d %s", w.Code, w.Body)
	}
	for target, want := range map[string]problem.Code{
		"missing?in.a=": problem.UnknownFunction,
		"echo@9":        problem.UnknownVersion,
		"echo?in.c=1":   problem.UnknownSet,
		"echo?in.=1":    problem.UnknownSet,
		"open?in.=1":    problem.BadName,
		"open?in.a/b=1": problem.BadName,
		"none?in.a=1":   problem.UnknownSet,
		"echo?set=a":    problem.UnknownParameter,
		"echo?a=1":      problem.UnknownParameter,
		"echo?In.a=1":   problem.UnknownParameter,
		"echo?in.a=%zz": problem.BadParameter,
		"echo?in.a=1;b": problem.BadParameter,
	} {
		p := wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/"+target, "", ""), want)
		if want == problem.UnknownParameter && strings.Join(p.Declared, " ") != "in.a in.b parallelism trace" {
			t.Errorf("%s: declared are %q", target, p.Declared)
		}
	}
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/echo?in.a=1", "text/plain", "a body"), problem.BadRequest)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/echo?in.a=1", "", "", "Accept", "image/png"), problem.NotAcceptable)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/echo?in.a=1", "", "", "Sec-Fetch-Site", "cross-site"), problem.ForeignOrigin)
	head := s.ask(t, http.MethodHead, "/v1/invoke/echo?in.a=words", "", "")
	if head.Code != http.StatusOK || head.Header().Get("Pappus-Fuel") != "42" {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
	few := newServer(t, func(c *Config, _ *dispatcherConfig) { c.ItemLimit = 2 })
	few.put(t, "open", "echo", "")
	wantProblem(t, few.ask(t, http.MethodGet, "/v1/invoke/open?in.a=1&in.a=2&in.b=3", "", ""), problem.RequestTooLarge)
}

// OPTIONS says what there is, to anybody who may ask.
func TestOptions(t *testing.T) {
	s := newServer(t)
	for path, want := range map[string]string{
		"/":                       "GET, HEAD, OPTIONS",
		"/v1/functions/f":         "GET, HEAD, PUT, DELETE, OPTIONS",
		"/v1/functions/f/tags/t":  "PUT, DELETE, OPTIONS",
		"/v1/invoke/f@3?anything": "GET, HEAD, POST, OPTIONS",
	} {
		w := s.ask(t, http.MethodOptions, path, "", "")
		got := map[string]bool{}
		for m := range strings.SplitSeq(w.Header().Get("Allow"), ", ") {
			got[m] = true
		}
		ok := w.Code == http.StatusNoContent && len(got) == strings.Count(want, ",")+1
		for m := range strings.SplitSeq(want, ", ") {
			ok = ok && got[m]
		}
		if !ok || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	wantProblem(t, s.ask(t, http.MethodOptions, "/nothing", "", ""), problem.NotFound)
	wantProblem(t, s.ask(t, http.MethodOptions, "/", "", "", "Origin", "https://example.org", "Access-Control-Request-Method", "GET"), problem.ForeignOrigin)
}

// The page that shows the description is whole, and lets a browser do nothing
// but show it.
func TestDocs(t *testing.T) {
	s := newServer(t)
	page := s.ask(t, http.MethodGet, "/docs", "", "")
	policy := page.Header().Get("Content-Security-Policy")
	if policy != "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" ||
		page.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a browser may do too much: %v", page.Header())
	}
	if page.Code != http.StatusOK || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe-eval") || strings.Contains(policy, "script-src 'self' 'unsafe") {
		t.Errorf("%d %v", page.Code, page.Header())
	}
	named := 0
	for name, f := range s.viewerFiles {
		if strings.Contains(page.Body.String(), `"/docs/`+name+`"`) {
			named++
		}
		plain := s.ask(t, http.MethodGet, "/docs/"+name, "", "")
		if plain.Code != http.StatusOK || plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Cache-Control") != "max-age=3600" || plain.Body.Len() < 100 || plain.Header().Get("Content-Type") != f.Type {
			t.Errorf("%s: %d %v", name, plain.Code, plain.Header())
		}
		packed := s.ask(t, http.MethodGet, "/docs/"+name, "", "", "Accept-Encoding", "br, gzip;q=0.5")
		if f.Compressed != nil && (packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() || packed.Header().Get("Vary") != "Accept-Encoding") {
			t.Errorf("%s compressed: %d %v", name, packed.Code, packed.Header())
		}
		if refused := s.ask(t, http.MethodGet, "/docs/"+name, "", "", "Accept-Encoding", "gzip;q=0"); refused.Body.String() != plain.Body.String() {
			t.Errorf("%s is compressed for who refuses it", name)
		}
	}
	if named != 3 {
		t.Errorf("the page names %d of the files", named)
	}
}

// Who asks for JSON gets the sets, also of a function that gives JSON itself, and
// what a function gives is never a form of answers.
func TestContentTypesOfFunctions(t *testing.T) {
	s := newServer(t)
	s.put(t, "json", "give a={}", `{"inputs": [], "outputs": [{"name": "x", "content_type": "application/json"}]}`)
	for accept, want := range map[string]string{"application/json": `{"outputs":{"x":`, "application/json, */*;q=0.5": `{"outputs":{"x":`} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/json", "", "", "Accept", accept)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s: %d %s", accept, w.Code, w.Body)
		}
	}
	for _, bad := range []string{"multipart/mixed", "multipart/form-data; boundary=x", "; ;;", "text", "text/html, text/plain"} {
		w := s.ask(t, http.MethodPut, "/v1/functions/bad", "application/wasm", code("echo", `{"inputs": [], "outputs": [{"name": "x", "content_type": "`+bad+`"}]}`))
		if w.Code == http.StatusCreated {
			t.Errorf("%q is taken", bad)
		}
	}
}
