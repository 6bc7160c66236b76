package server

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/server/api"
	"pappus/server/problem"
)

// compose registers a composition that must be accepted.
func (s *testServer) compose(t testing.TB, name, source string) api.Composition {
	t.Helper()
	w := s.ask(t, http.MethodPut, "/v1/compositions/"+name, "text/plain", source)
	if w.Code != http.StatusCreated && w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	return decodeBody[api.Composition](t, w)
}

const (
	echoes = `{"inputs": ["a"], "outputs": ["x"]}`

	// chain applies echo twice, to all items and to each.
	chain = `function echo(a) => (x);
composition chain(in) => (out) {
	echo(a = all in) => (middle = x);
	echo(a = each middle) => (out = x);
}
`
	chainScript = "input set in\noutput set out\nephemeral set middle\nmiddle = echo(in)\nout = for each m in middle : echo(m)\n"
)

func TestCompositions(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	w := s.ask(t, http.MethodPut, "/v1/compositions/chain", "", chain)
	one := decodeBody[api.Composition](t, w)
	if w.Code != http.StatusCreated || w.Header().Get("Location") != "/v1/compositions/chain@1" || one.Name != "chain" || one.Version != 1 ||
		one.Inputs[0].Name != "in" || one.Outputs[0].Name != "out" || one.Tags["latest"] != 1 || one.Source != chain ||
		len(one.Uses) != 1 || one.Uses[0].Ref != "echo" || one.Uses[0].Inputs[0].Name != "a" || one.Uses[0].Outputs[0].Name != "x" || one.Warnings != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.ask(t, http.MethodPut, "/v1/compositions/chain", "application/x-www-form-urlencoded", chain); w.Code != http.StatusOK || w.Header().Get("Location") != "" {
		t.Errorf("the same again: %d %v", w.Code, w.Header())
	}
	two := decodeBody[api.Composition](t, s.ask(t, http.MethodPut, "/v1/compositions/chain?tag=t1&tag=t2", "text/plain", `function echo = "echo@1" (a) => (x);
composition chain(in, spare) => (out) {
	echo(a = all in) => (out = x);
	echo(a = all spare) => (lost = x);
}`))
	if two.Version != 2 || two.Tags["t1"] != 2 || two.Tags["latest"] != 1 || two.Uses[0].Ref != "echo@1" || len(two.Warnings) != 1 || two.Warnings[0].Line != 4 || two.Warnings[0].Source == "" {
		t.Errorf("%+v", two)
	}
	for ref, want := range map[string]int64{"chain": 1, "chain@t1": 2, "chain@2": 2, "chain@" + one.Digest.String(): 1} {
		if got := decodeBody[api.Composition](t, s.ask(t, http.MethodGet, "/v1/compositions/"+ref, "", "")); got.Version != want || got.Source == "" || len(got.Uses) != 1 {
			t.Errorf("%s is %+v", ref, got)
		}
	}
	for accept, want := range map[string]string{"text/plain": typeText, "text/*": typeText, "text/plain;q=0.5, */*;q=0.1": typeText, "*/*": typeJSON, "application/json, text/plain": typeJSON, "image/png": typeJSON} {
		w := s.ask(t, http.MethodGet, "/v1/compositions/chain", "", "", "Accept", accept)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || (want == typeText) != (w.Body.String() == chain) || w.Header().Get("Vary") != "Accept" {
			t.Errorf("Accept %s: %d %v %s", accept, w.Code, w.Header(), w.Body)
		}
	}
	if page := decodeBody[api.CompositionPage](t, s.ask(t, http.MethodGet, "/v1/compositions?limit=5", "", "")); len(page.Items) != 1 || page.Items[0].Version != 1 || page.Items[0].Source != "" {
		t.Errorf("%+v", page)
	}
	page := decodeBody[api.CompositionPage](t, s.ask(t, http.MethodGet, "/v1/compositions/chain/versions?limit=1", "", ""))
	if len(page.Items) != 1 || page.Items[0].Version != 2 || page.Next == "" {
		t.Errorf("%+v", page)
	}
	w = s.ask(t, http.MethodPut, "/v1/compositions/chain/tags/latest", "", "2")
	if got := decodeBody[api.Composition](t, w); w.Code != http.StatusOK || got.Tags["latest"] != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/compositions/chain/tags/t9", "", "9"), problem.UnknownVersion)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/compositions/chain/tags/t9", "", "2", "Content-Encoding", "gzip"), problem.ContentEncoding)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/compositions/chain/tags/t9", "", strings.Repeat(" ", 5000)+"2"), problem.RequestTooLarge)
	if w := s.ask(t, http.MethodDelete, "/v1/compositions/chain/tags/t1", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/compositions/chain@2", "", ""), problem.InUse)
	if w := s.ask(t, http.MethodDelete, "/v1/compositions/chain", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/compositions/chain", "", ""), problem.UnknownComposition)
}

// The routes of one kind do not know the other.
func TestKindsApart(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	s.compose(t, "chain", chain)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/chain", "", code("echo", echoes)), problem.OtherKind)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/compositions/echo", "", "composition echo(a) => (a) {}"), problem.OtherKind)
	for _, c := range []struct {
		name, routes string
		want         problem.Code
	}{{"chain", "/v1/functions/", problem.UnknownFunction}, {"echo", "/v1/compositions/", problem.UnknownComposition}} {
		for _, request := range []string{"GET ", "DELETE ", "GET /versions", "DELETE /tags/latest", "PUT /tags/t"} {
			method, rest, _ := strings.Cut(request, " ")
			body := ""
			if method == http.MethodPut {
				body = "1"
			}
			p := wantProblem(t, s.ask(t, method, c.routes+c.name+rest, "", body), c.want)
			if !strings.Contains(p.Detail, "; it is a ") {
				t.Errorf("%s %s: %s", request, c.name, p.Detail)
			}
		}
	}
	for _, list := range []string{"functions", "compositions"} {
		if page := decodeBody[api.CompositionPage](t, s.ask(t, http.MethodGet, "/v1/"+list, "", "")); len(page.Items) != 1 {
			t.Errorf("%s: %+v", list, page)
		}
	}
	// A name that a route has too.
	s.compose(t, "check", strings.ReplaceAll(chain, "chain", "check"))
	if got := decodeBody[api.Composition](t, s.ask(t, http.MethodGet, "/v1/compositions/check", "", "")); got.Name != "check" {
		t.Errorf("%+v", got)
	}
}

// Every mistake of a source is told, with its place.
func TestInvalidCompositions(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	const bad = "function echo(a) => (x);\ncomposition chain(in) => (out) {\n\techo(a = all in) => (middle = x);\n\tecko(a = each midle) => (out = x);\n}\n"
	for _, request := range []string{"PUT /v1/compositions/chain", "POST /v1/compositions/check?name=chain", "POST /v1/compositions/check"} {
		method, path, _ := strings.Cut(request, " ")
		p := wantProblem(t, s.ask(t, method, path, "text/plain", bad), problem.InvalidComposition)
		if len(p.Errors) != 2 || p.Errors[0].Line != 4 || p.Errors[0].Column != 2 || !strings.Contains(p.Errors[0].Hint, "did you mean echo?") ||
			p.Errors[0].Caret != 1 || !strings.Contains(p.Errors[0].Source, "ecko(") || p.Errors[1].Column != 16 || p.MoreErrors {
			t.Errorf("%s: %+v", request, p.Errors)
		}
	}
	w := s.ask(t, http.MethodPost, "/v1/compositions/check", "text/plain", chainScript)
	if got := decodeBody[api.Checked](t, w); w.Code != http.StatusOK || len(got.Inputs) != 1 || got.Inputs[0].Name != "in" || got.Warnings == nil || len(got.Warnings) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	many := "function echo(a) => (x);\ncomposition c(in) => (out) {\n" + strings.Repeat("unknown(a = all nowhere) => (out = x);\n", 200) + "}"
	if p := wantProblem(t, s.ask(t, http.MethodPut, "/v1/compositions/c", "", many), problem.InvalidComposition); len(p.Errors) != composition.MaxErrors || !p.MoreErrors {
		t.Errorf("%d errors, more: %t", len(p.Errors), p.MoreErrors)
	}
	for _, c := range []struct {
		request, body string
		want          problem.Code
	}{
		{"PUT /v1/compositions/c", "", problem.InvalidComposition},
		{"PUT /v1/compositions/c", "\xff\x00", problem.InvalidComposition},
		{"PUT /v1/compositions/c", strings.Repeat(" ", composition.MaxSource+1), problem.RequestTooLarge},
		{"PUT /v1/compositions/HTTP", chain, problem.ReservedName},
		{"PUT /v1/compositions/c@1", chain, problem.BadName},
		{"PUT /v1/compositions/chain?tag=1", chain, problem.BadName},
		{"PUT /v1/compositions/chain?force=yes", chain, problem.BadParameter},
		{"PUT /v1/compositions/chain?force=true&force=true", chain, problem.BadParameter},
		{"PUT /v1/compositions/chain?name=chain", chain, problem.UnknownParameter},
		{"POST /v1/compositions/check?tag=t", chain, problem.UnknownParameter},
		{"POST /v1/compositions/check?name=a/b", chain, problem.BadParameter},
		{"POST /v1/compositions/check", strings.Repeat(" ", composition.MaxSource+1), problem.RequestTooLarge},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		wantProblem(t, s.ask(t, method, path, "", c.body), c.want)
	}
	for _, path := range []string{"PUT /v1/compositions/c", "POST /v1/compositions/check"} {
		method, path, _ := strings.Cut(path, " ")
		wantProblem(t, s.ask(t, method, path, "", chain, "Content-Encoding", "gzip"), problem.ContentEncoding)
	}
}

// What compositions need is kept, unless it is forced.
func TestChangesThatBreak(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	s.compose(t, "chain", chain)
	s.compose(t, "outer", "function inner = \"chain\" (in) => (out);\ncomposition outer(i) => (o) { inner(in = all i) => (o = out); }")
	other := code("echo", `{"inputs": ["b"], "outputs": ["x"]}`)
	const otherChain = "composition chain(b) => (b) {}"
	s.ask(t, http.MethodPut, "/v1/functions/echo?tag=other", "", other)
	s.ask(t, http.MethodPut, "/v1/compositions/chain?tag=other", "", otherChain)
	for _, c := range []struct {
		request, body string
		want          problem.Code
		user, ref     string
	}{
		{"PUT /v1/functions/echo", other, problem.SignatureBreaks, "chain", "echo"},
		{"PUT /v1/functions/echo?force=false", other, problem.SignatureBreaks, "chain", "echo"},
		{"PUT /v1/functions/echo/tags/latest", "2", problem.SignatureBreaks, "chain", "echo"},
		{"PUT /v1/compositions/chain", otherChain, problem.SignatureBreaks, "outer", "chain"},
		{"PUT /v1/compositions/chain/tags/latest", "2", problem.SignatureBreaks, "outer", "chain"},
		{"DELETE /v1/functions/echo", "", problem.InUse, "chain", "echo"},
		{"DELETE /v1/functions/echo/tags/latest", "", problem.InUse, "chain", "echo"},
		{"DELETE /v1/compositions/chain", "", problem.InUse, "outer", "chain"},
		{"DELETE /v1/compositions/chain/tags/latest", "", problem.InUse, "outer", "chain"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		p := wantProblem(t, s.ask(t, method, path, "", c.body), c.want)
		if len(p.Users) != 1 || p.Users[0].Name != c.user || p.Users[0].Version != 1 || p.Users[0].Ref != c.ref || (p.Users[0].Differs != "") != (c.want == problem.SignatureBreaks) {
			t.Errorf("%s: %+v", c.request, p.Users)
		}
	}
	if w := s.ask(t, http.MethodPost, "/v1/invoke/outer", "", "x"); w.Code != http.StatusOK || w.Body.String() != "x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, request := range []string{
		"PUT /v1/functions/echo?force=true", "PUT /v1/functions/echo/tags/latest?force=true", "DELETE /v1/functions/echo/tags/latest?force=true",
		"PUT /v1/compositions/chain/tags/latest?force=true", "DELETE /v1/compositions/chain/tags/latest?force=true",
		"DELETE /v1/compositions/chain?force=true", "DELETE /v1/functions/echo?force=true",
	} {
		method, path, _ := strings.Cut(request, " ")
		body := map[bool]string{true: other, false: "2"}[strings.HasSuffix(path, "echo?force=true")]
		if method == http.MethodDelete {
			body = ""
		}
		if w := s.ask(t, method, path, "", body); w.Code > 299 {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead} {
			wantProblem(t, s.ask(t, method, "/v1/invoke/outer", "", ""), problem.BrokenComposition)
		}
	}
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/functions/f?force=", "", ""), problem.BadParameter)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/t?force=1", "", "1"), problem.BadParameter)
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/functions/f?all=true", "", ""), problem.UnknownParameter)
}

// jsonAnswer is an answer in JSON, as far as tests look at it.
type jsonAnswer struct {
	Outputs map[string][]any `json:"outputs"`
	Usage   api.Usage        `json:"usage"`
}

// Compositions are called like functions.
func TestInvokeCompositions(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	s.compose(t, "chain", chain)
	s.compose(t, "script", chainScript)
	for _, name := range []string{"chain", "script"} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/"+name, "", "hello")
		if w.Code != http.StatusOK || w.Body.String() != "hello" || w.Header().Get("Pappus-Fuel") != "84" {
			t.Errorf("raw: %d %s %v", w.Code, w.Body, w.Header())
		}
		w = s.ask(t, http.MethodGet, "/v1/invoke/"+name+"?in.in=a&in.in=b&parallelism=3", "", "", "Accept", typeJSON)
		if got := decodeBody[jsonAnswer](t, w); w.Code != http.StatusOK || len(got.Outputs["out"]) != 2 || got.Usage != (api.Usage{Fuel: 126, MemoryPages: 3}) {
			t.Errorf("GET: %d %s", w.Code, w.Body)
		}
		w = s.ask(t, http.MethodPost, "/v1/invoke/"+name+"?parallelism=1024", typeJSON, `{"inputs": {"in": [{"name": "b", "key": 2, "text": "2"}, {"name": "a", "key": 1, "text": "1"}]}}`, "Accept", "multipart/mixed")
		if w.Code != http.StatusOK || strings.Count(w.Body.String(), "Pappus-Key") != 2 || strings.Index(w.Body.String(), `"a"`) > strings.Index(w.Body.String(), `"b"`) {
			t.Errorf("multipart: %d %s", w.Code, w.Body)
		}
		if w := s.ask(t, http.MethodPost, "/v1/invoke/"+name, typeJSON, `{"inputs": {}}`); w.Code != http.StatusNoContent {
			t.Errorf("nothing: %d %s", w.Code, w.Body)
		}
		if p := wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/"+name+"?in.other=a", "", ""), problem.UnknownSet); !slices.Equal(p.Declared, []string{"in"}) {
			t.Errorf("declared are %v", p.Declared)
		}
	}
	for _, query := range []string{"parallelism=0", "parallelism=1025", "parallelism=x", "parallelism=", "parallelism=2&parallelism=2"} {
		for _, name := range []string{"chain", "echo"} {
			wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/"+name+"?"+query, "", "x"), problem.BadParameter)
			wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/"+name+"?"+query, "", ""), problem.BadParameter)
		}
	}
	if w := s.ask(t, http.MethodPost, "/v1/invoke/echo?parallelism=2", "", "x"); w.Code != http.StatusOK {
		t.Errorf("a function: %d %s", w.Code, w.Body)
	}
}

// An output has the content type of the functions' output that it is of, at
// whatever depth.
func TestContentTypesOfCompositions(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", `{"inputs": ["a"], "outputs": [{"name": "x", "content_type": "text/markdown"}]}`)
	s.put(t, "plain", "echo", echoes)
	s.compose(t, "chain", chain)
	s.compose(t, "outer", `function chain(in) => (out);
composition inner(a) => (b) { chain(in = all a) => (b = out); }
composition outer(a) => (b, a) { inner(a = each a) => (b = b); }`)
	s.compose(t, "last", `function echo(a) => (x);
function plain(a) => (x);
composition last(in) => (out) {
	echo(a = all in) => (middle = x);
	plain(a = all middle) => (out = x);
}`)
	for ref, want := range map[string]string{"echo": "text/markdown", "chain": "text/markdown", "last": typeBytes} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/"+ref, "", "# hello")
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d, content type %q, want %q", ref, w.Code, got, want)
		}
	}
	got := decodeBody[api.Composition](t, s.ask(t, http.MethodGet, "/v1/compositions/outer", "", ""))
	if got.Outputs[0].ContentType != "text/markdown" || got.Outputs[1].ContentType != "" {
		t.Errorf("%+v", got.Outputs)
	}
}

// The failure of an instance says where it was.
func TestFaultsInCompositions(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	s.put(t, "bad", "exit 7", echoes)
	s.compose(t, "c", `function echo(a) => (x);
function bad(a) => (x);
composition c(in) => (out) {
	echo(a = each in) => (middle = x);
	bad(a = each middle) => (out = x);
}`)
	// Both fail; which of them is seen first is the scheduler's.
	w := s.ask(t, http.MethodPost, "/v1/invoke/c", typeJSON, `{"inputs": {"in": [{"name": "first", "text": "1"}, {"name": "second", "text": "2"}]}}`)
	p := wantProblem(t, w, problem.Code(engine.FaultExit))
	if p.Application != "bad" || p.Index == nil || *p.Index != 0 || p.Item != `a: "first", key 0` && p.Item != `a: "second", key 0` || p.ExitCode == nil || *p.ExitCode != 7 || p.Stderr == "" {
		t.Errorf("%s", w.Body)
	}
	// What the run used: an instance of echo and one of bad, or more.
	fuel, err := strconv.ParseInt(w.Header().Get("Pappus-Fuel"), 10, 64)
	if err != nil || fuel < 2*42 || fuel%42 != 0 || *p.Usage != (api.Usage{Fuel: fuel, MemoryPages: 3}) {
		t.Errorf("used %+v, header %v", p.Usage, w.Header())
	}
	if timing := w.Header().Get("Server-Timing"); !strings.HasPrefix(timing, "queue;dur=") || !strings.Contains(timing, "run;dur=") {
		t.Errorf("timing %q", timing)
	}
	s.compose(t, "items", "input item one\noutput item two\ntwo = echo(one)\n")
	for _, body := range []string{"", `{"name": "a", "text": ""}, {"name": "b", "text": ""}`} {
		p := wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/items", typeJSON, fmt.Sprintf(`{"inputs": {"one": [%s]}}`, body)), problem.Code(engine.FaultItemCount))
		if !strings.Contains(p.Detail, "one") {
			t.Errorf("%q: %s", body, p.Detail)
		}
	}
}

// A tag that would let a composition reach itself is not moved.
func TestRecursionByTag(t *testing.T) {
	s := newServer(t)
	s.compose(t, "a", "composition a(x) => (x) {}")
	s.compose(t, "b", "function a(x) => (x);\ncomposition b(y) => (z) { a(x = all y) => (z = x); }")
	w := s.ask(t, http.MethodPut, "/v1/compositions/a?tag=next", "", "function b(y) => (z);\ncomposition a(x) => (z) { b(y = all x) => (z = z); }")
	if w.Code == http.StatusCreated {
		w = s.ask(t, http.MethodPut, "/v1/compositions/a/tags/latest?force=true", "", "2")
	}
	wantProblem(t, w, problem.InvalidComposition)
}
