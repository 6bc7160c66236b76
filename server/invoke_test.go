package server

import (
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/server/api"
	"pappus/server/problem"
)

const twoSets = `{"inputs": ["a", {"name": "b", "type": "set"}], "outputs": ["x", "y"]}`

// items reads the outputs of a JSON or multipart answer as "set/name@key
// content", in order.
func itemsOf(t testing.TB, w *httptest.ResponseRecorder) []string {
	t.Helper()
	typ, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	list := []string{}
	if typ == typeJSON {
		body := decodeBody[struct {
			Outputs map[string][]struct {
				Name string
				Key  uint32
				Data []byte
			}
			Usage api.Usage
		}](t, w)
		for _, set := range []string{"input", "output", "x", "y", "stdio"} {
			for _, it := range body.Outputs[set] {
				list = append(list, fmt.Sprintf("%s/%s@%d %s", set, it.Name, it.Key, it.Data))
			}
		}
		if body.Usage != (api.Usage{Fuel: 42, MemoryPages: 3}) {
			t.Errorf("usage %+v", body.Usage)
		}
		return list
	}
	if typ != typeMultipart {
		t.Fatalf("%s is no list of items", typ)
	}
	for mr := multipart.NewReader(w.Body, params["boundary"]); ; {
		part, err := mr.NextRawPart()
		if err == io.EOF { //nolint:errorlint // it is not wrapped
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		disposition, names, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		content, errRead := io.ReadAll(part)
		if err != nil || errRead != nil || disposition != "attachment" {
			t.Fatal(disposition, err, errRead)
		}
		list = append(list, fmt.Sprintf("%s/%s@%s %s", names["name"], names["filename"], part.Header.Get(keyHeader), content))
	}
}

func TestRawBodies(t *testing.T) {
	s := newServer(t)
	s.put(t, "two", "echo", twoSets)
	s.put(t, "open", "give x=1,y=2", "")
	s.put(t, "stdio", "echo", `{"inputs": ["a", "stdio"], "outputs": ["a", "stdio"]}`)
	s.put(t, "none", "echo", `{"outputs": ["x"]}`)
	for _, c := range []struct {
		query, contentType, body, want string
	}{
		{"two", "", "text", "x/body@0 text"},
		{"two", "text/plain", "text", "x/body@0 text"},
		{"two", "application/x-www-form-urlencoded", "a=b", "x/body@0 a=b"},
		{"two", "image/png", "\x00\xff", "x/body@0 \x00\xff"},
		{"two", "APPLICATION/JSONX", "text", "x/body@0 text"},
		{"two", "nonsense;;", "text", "x/body@0 text"},
		{"two?set=b", "", "text", "y/body@0 text"},
		{"two?set=b&item=n%2Fm&key=7", "", "text", "y/n/m@7 text"},
		{"two?item=", "", "text", "x/@0 text"},
		{"two?key=4294967295", "", "text", "x/body@4294967295 text"},
		{"two?set=a", "application/json", `{"inputs": 1}`, `x/body@0 {"inputs": 1}`},
		{"two?key=0", "multipart/form-data; boundary=b", `--b`, `x/body@0 --b`},
		{"two", "", "", "x/body@0 "},
		{"stdio", "", "text", "stdio/stdin@0 text"},
		{"stdio?set=a", "", "text", ""}, // its answer has set a, which itemsOf leaves out
		{"none", "", "", ""},
	} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/"+c.query, c.contentType, c.body, "Accept", typeJSON)
		if w.Code != http.StatusOK {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
			continue
		}
		if got := strings.Join(itemsOf(t, w), ", "); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for query, want := range map[string]problem.Code{
		"two?set=c": problem.UnknownSet, "two?set=": problem.UnknownSet, "two?item=%00": problem.BadName, "two?item=%ff": problem.BadName,
		"two?item=" + strings.Repeat("n", 1025): problem.BadName, "two?key=-1": problem.BadParameter, "two?key=4294967296": problem.BadParameter,
		"two?key=": problem.BadParameter, "two?key=01": problem.BadParameter, "two?set=a&set=b": problem.BadParameter,
		"two?sett=a": problem.UnknownParameter, "two?%zz": problem.BadParameter, "open?set=%2F": problem.BadName, "open?set=..": problem.BadName,
		"none": problem.UnknownSet, "nobody": problem.UnknownFunction, "two@9": problem.UnknownVersion, "two@x": problem.UnknownTag,
		"..%2Ftwo": problem.BadName, "two@": problem.BadName, "two@sha256:zz": problem.BadName,
	} {
		p := wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/"+query, "", "text"), want)
		if want == problem.UnknownSet && p.Declared == nil && query != "none" {
			t.Errorf("%s: what is declared is not said", query)
		}
	}
	wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/two", "", "x", "Content-Encoding", "br"), problem.ContentEncoding)
	if w := s.ask(t, http.MethodPost, "/v1/invoke/two", "", "x", "Content-Encoding", "identity"); w.Code != http.StatusOK {
		t.Errorf("identity: %d", w.Code)
	}
	for _, contentType := range []string{"multipart/form-data", "multipart/form-data; boundary=", `application/json; charset=latin1`, `application/json; "`} {
		wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/two", contentType, "{}"), problem.BadRequest)
	}
}

func TestAnswers(t *testing.T) {
	s := newServer(t)
	s.put(t, "one", "give n=content", `{"outputs": [{"name": "x", "content_type": "text/csv"}, "y"]}`)
	s.put(t, "several", "give n=content,m=more", `{"outputs": ["x", "y"]}`)
	s.put(t, "nothing", "echo", twoSets)
	s.put(t, "stdout", "give stdout=words", `{"outputs": ["stdio"]}`)
	s.put(t, "silent", "echo", `{"outputs": ["stdio"]}`)
	s.put(t, "stderr", "give stderr=oops", `{"outputs": ["stdio"]}`)
	s.put(t, "other", "give file=x,stdout=words", `{"outputs": ["stdio"]}`)
	const multi, json = "multipart", "json"
	for _, c := range []struct {
		name, accept, want string // of raw answers: type and content
	}{
		{"one", "", "text/csv content"},
		{"one", "*/*", "text/csv content"},
		{"one", "text/csv", "text/csv content"},
		{"one", "text/*", "text/csv content"},
		{"one", "application/json", json},
		{"one", "multipart/mixed", multi},
		{"one", "application/json, */*", json}, // as exact as the other is not
		{"one", "application/json;q=0.1, */*", "text/csv content"},
		{"one", "multipart/*, text/csv;q=0.5", multi},
		{"one", "text/html, nonsense, application/json;q=0.001", json},
		{"one", "text/html, text/plain", "406"},
		{"one", "*/*;q=0", "406"},
		{"several", "", multi},
		{"several", "application/octet-stream", "406"},
		{"several", "application/*", json},
		{"nothing", "", "204"},
		{"nothing", "application/json", json},
		{"nothing", "multipart/mixed", multi},
		{"stdout", "", "application/octet-stream words"},
		{"silent", "", "application/octet-stream "},
		{"stderr", "", "application/octet-stream "},
		{"other", "", multi},
	} {
		query := "/v1/invoke/" + c.name
		header := []string{}
		if c.accept != "" {
			header = []string{"Accept", c.accept}
		}
		w := s.ask(t, http.MethodPost, query, typeJSON, `{"inputs": {}}`, header...)
		got := fmt.Sprintf("%s %s", w.Header().Get("Content-Type"), w.Body)
		switch contentType := w.Header().Get("Content-Type"); {
		case w.Code == http.StatusNotAcceptable:
			got = "406"
			if p := wantProblem(t, w, problem.NotAcceptable); len(p.Declared) < 2 {
				t.Errorf("%+v: %+v", c, p)
			}
		case w.Code == http.StatusNoContent && w.Body.Len() == 0:
			got = "204"
		case strings.HasPrefix(contentType, typeMultipart):
			got = multi
		case contentType == typeJSON:
			got = json
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		h := w.Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%+v: header %v", c, h)
		}
		if w.Code < 300 && (h.Get("Pappus-Fuel") != "42" || !strings.HasPrefix(h.Get("Server-Timing"), "queue;dur=")) {
			t.Errorf("%+v: header %v", c, h)
		}
	}
	w := s.ask(t, http.MethodPost, "/v1/invoke/several", "", "")
	if got := strings.Join(itemsOf(t, w), ", "); got != "x/n@0 content, x/m@0 more" {
		t.Errorf("parts %s", got)
	}
	w = s.ask(t, http.MethodPost, "/v1/invoke/nothing", typeJSON, `{"inputs": {}}`, "Accept", typeJSON)
	if want := `{"outputs":{"x":[],"y":[]},"usage":{"fuel":42,"memory_pages":3}}` + "\n"; w.Body.String() != want {
		t.Errorf("no items: %s", w.Body)
	}
}

func TestFaults(t *testing.T) {
	s := newServer(t)
	for _, kind := range engine.FaultKinds() {
		if kind == engine.FaultCanceled || kind == engine.FaultExit {
			continue
		}
		s.put(t, "f", "fault "+string(kind), "")
		p := wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/f", "", ""), problem.Code(kind))
		if p.Detail != "as asked" || len(p.Stack) != 1 || kind != engine.FaultOverload && *p.Usage != (api.Usage{Fuel: 42, MemoryPages: 3}) {
			t.Errorf("%+v", p)
		}
	}
	s.put(t, "f", "exit -7", "")
	w := s.ask(t, http.MethodPost, "/v1/invoke/f", "", "")
	if p := wantProblem(t, w, problem.Code(engine.FaultExit)); p.ExitCode == nil || *p.ExitCode != -7 || p.Stderr != "no \uFFFD" {
		t.Errorf("%+v", p)
	}
	if w.Header().Get("Pappus-Fuel") != "42" {
		t.Errorf("header %v", w.Header())
	}
	for _, does := range []string{"error", "panic"} {
		s.put(t, "f", does, "")
		w := s.ask(t, http.MethodPost, "/v1/invoke/f", "", "")
		wantProblem(t, w, problem.Internal)
		if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "as asked") {
			t.Errorf("%s: the client learns %s", does, w.Body)
		}
	}
	if log := s.log.String(); !strings.Contains(log, "the engine's secret") || !strings.Contains(log, "as asked") {
		t.Errorf("the log has %s", log)
	}
}

// Each rule for JSON bodies, with the path that the answer must name.
func TestBadJSON(t *testing.T) {
	s := newServer(t)
	s.put(t, "two", "echo", twoSets)
	for body, path := range map[string]string{
		``: "body", `{`: "body", `{}`: "body", `[]`: "body", `null`: "body", `"x"`: "body", `{"inputs": {}} x`: "body", `{"inputs": {}}{}`: "body",
		`{"inputs": {}, "inputs": {}}`: "body", `{"inputs": {}, "more": 1}`: "body", `{"Inputs": {}}`: "body", `{inputs: {}}`: "body", `{"inputs" {}}`: "body",
		`{"inputs": []}`: "inputs", `{"inputs": null}`: "inputs", `{"inputs": {"a": [],}}`: "inputs",
		`{"inputs": {"c": []}}`: "unknown-set", `{"inputs": {"a": [], "a": []}}`: "inputs.a",
		`{"inputs": {"a": {}}}`: "inputs.a", `{"inputs": {"a": "x"}}`: "inputs.a", `{"inputs": {"a": null}}`: "inputs.a",
		`{"inputs": {"a": ["x"]}}`: "inputs.a[0]", `{"inputs": {"a": [{}]}}`: "inputs.a[0]",
		`{"inputs": {"a": [{"text": "x"}, {"text": "x", "data": ""}]}}`: "inputs.a[1]", `{"inputs": {"a": [{"text": "x", "colour": 1}]}}`: "inputs.a[0]",
		`{"inputs": {"a": [{"text": "x", "text": "y"}]}}`: "inputs.a[0].text", `{"inputs": {"a": [{"text": 1}]}}`: "inputs.a[0].text",
		`{"inputs": {"a": [{"text": null}]}}`: "inputs.a[0].text", `{"inputs": {"a": [{"text": "x", "name": 1}]}}`: "inputs.a[0].name",
		`{"inputs": {"a": [{"text": "x", "key": -1}]}}`: "inputs.a[0].key", `{"inputs": {"a": [{"text": "x", "key": 4294967296}]}}`: "inputs.a[0].key",
		`{"inputs": {"a": [{"text": "x", "key": 1.0}]}}`: "inputs.a[0].key", `{"inputs": {"a": [{"text": "x", "key": 1e3}]}}`: "inputs.a[0].key",
		`{"inputs": {"a": [{"text": "x", "key": "1"}]}}`: "inputs.a[0].key", `{"inputs": {"a": [{"text": "x", "key": 01}]}}`: "inputs.a[0].key",
		`{"inputs": {"a": [{"data": "x"}]}}`: "inputs.a[0].data", `{"inputs": {"a": [{"data": "eA"}]}}`: "inputs.a[0].data",
		`{"inputs": {"a": [{"data": "eB=="}]}}`: "inputs.a[0].data", `{"inputs": {"a": [{"data": "eA==\n"}]}}`: "inputs.a[0].data",
		`{"inputs": {"a": [{"data": "_-=="}]}}`: "inputs.a[0].data", `{"inputs": {"a": [{"data": "e\nA=="}]}}`: "inputs.a[0].data",
		"{\"inputs\": {\"a\": [{\"text\": \"\xff\"}]}}": "inputs.a[0].text", "{\"inputs\": {\"a\": [{\"text\": \"\n\"}]}}": "inputs.a[0].text",
		`{"inputs": {"a": [{"text": "\x"}]}}`: "inputs.a[0].text", `{"inputs": {"a": [{"text": "\ud800"}]}}`: "inputs.a[0].text",
		`{"inputs": {"a": [{"text": "\ud800\u0041"}]}}`: "inputs.a[0].text", `{"inputs": {"a": [{"text": "\u12"}]}}`: "inputs.a[0].text",
		`{"inputs": {"a": [{"text": "x", "name": "\u0000"}]}}`: "bad-name", `{"inputs": {"a": [{"text": "x`: "inputs.a[0].text",
		`{"inputs": {"a": [{"text": "x"} {"text": "y"}]}}`: "inputs.a",
		"\ufeff" + `{"inputs": {}}`:                        "body",
		`{"inputs":` + strings.Repeat(`{"a":`, 10_000):     "inputs.a",
		strings.Repeat(`[`, 100_000):                       "body",
	} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/two", typeJSON, body)
		want := problem.BadBody
		if path == "unknown-set" || path == "bad-name" {
			want, path = problem.Code(path), ""
		}
		p := wantProblem(t, w, want)
		if len(p.Errors) != 1 || path != "" && p.Errors[0].Path != path || !strings.HasPrefix(p.Detail, p.Errors[0].Path) {
			t.Errorf("%.80s: %+v", body, p)
		}
	}
	if p := decodeBody[problem.Problem](t, s.ask(t, http.MethodPost, "/v1/invoke/two", typeJSON, `{"a": 1}`)); !strings.Contains(p.Detail, "set=, item= or key=") {
		t.Errorf("JSON that is meant for the function: %+v", p)
	}
}

func TestBadMultipart(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.ItemLimit = 3 })
	s.put(t, "two", "echo", twoSets)
	const end = "\r\n--b--\r\n"
	part := func(header string) string { return "--b\r\n" + header + "\r\n\r\ncontent" }
	const a = `Content-Disposition: form-data; name="a"`
	for body, want := range map[string]problem.Code{
		"":                            problem.BadBody,
		"garbage":                     problem.BadBody,
		part(a):                       problem.BadBody,
		part(a) + "\r\n--b":           problem.BadBody,
		part(a) + end + "more":        problem.BadBody,
		part(a) + end + part(a) + end: problem.BadBody, // the second would be lost
		part("X: y") + end:            problem.BadBody,
		part("no header") + end:       problem.BadBody,
		part(a+"\r\n"+a) + end:        problem.BadBody,
		part(`Content-Disposition: attachment; name="a"`) + end:                     problem.BadBody,
		part(`Content-Disposition: form-data; filename="a"`) + end:                  problem.BadBody,
		part(`Content-Disposition: form-data; name="a`) + end:                       problem.BadBody,
		part(`Content-Disposition: form-data; name="c"`) + end:                      problem.UnknownSet,
		part("Content-Disposition: form-data; name=\"a\"; filename=\"\xff\"") + end: problem.BadName,
		part(a+"\r\nPappus-Key: -1") + end:                                          problem.BadBody,
		part(a+"\r\nPappus-Key: 4294967296") + end:                                  problem.BadBody,
		part(a+"\r\nPappus-Key: 1\r\nPappus-Key: 2") + end:                          problem.BadBody,
		part(a+"\r\nContent-Transfer-Encoding: base64") + end:                       problem.BadBody,
		part(a+"\r\nX: "+strings.Repeat("y", 12<<20)) + end:                         problem.BadBody,
		strings.Repeat(part(a)+"\r\n", 4) + end:                                     problem.RequestTooLarge,
	} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/two", "multipart/form-data; boundary=b", body)
		if p := wantProblem(t, w, want); p.Detail == "" {
			t.Errorf("%.80q: %+v", body, p)
		}
	}
	good := part(`Content-Disposition: form-data; name="a"; filename="dir/n \"q\" \\ ä"`+"\r\nPappus-Key: 5\r\nContent-Type: text/plain") + "\r\n" +
		part(`Content-Disposition: form-data; name=b`) + end
	w := s.ask(t, http.MethodPost, "/v1/invoke/two", "Multipart/Form-Data; Boundary=b", good, "Accept", typeJSON)
	if got := strings.Join(itemsOf(t, w), ", "); got != `x/dir/n "q" \ ä@5 content, y/@0 content` {
		t.Errorf("%s", got)
	}
}

// A boundary may read like a header. Within headers it is one, and does not end a body.
func TestMultipartEndsInHeaders(t *testing.T) {
	s := newServer(t)
	s.put(t, "two", "echo", twoSets)
	const whole, half = "--a:b\r\nContent-Disposition: form-data; name=a\r\n\r\ncontent\r\n", "--a:b\r\nContent-Disposition: form-data; name=b\r\n"
	for _, body := range []string{half + "--a:b--", whole + half + "--a:b--\r\n"} {
		for method, path := range map[string]string{http.MethodPost: "/v1/invoke/two", http.MethodPut: "/v1/functions/f"} {
			w := s.ask(t, method, path, `multipart/form-data; boundary="a:b"`, body)
			if p := wantProblem(t, w, problem.BadBody); !strings.Contains(p.Detail, "closing boundary") {
				t.Errorf("%s, %q: %+v", path, body, p)
			}
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.BodyLimit, c.ItemLimit = 1000, 10 })
	s.put(t, "two", "echo", twoSets)
	wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/two", "", strings.Repeat("x", 1001)), problem.RequestTooLarge)
	if w := s.ask(t, http.MethodPost, "/v1/invoke/two", "", strings.Repeat("x", 1000)); w.Code != http.StatusOK || w.Body.Len() != 1000 {
		t.Errorf("at the limit: %d", w.Code)
	}
	for n, want := range map[int]problem.Code{1001: problem.RequestTooLarge, 100_000: problem.RequestTooLarge} {
		r := httptest.NewRequest(http.MethodPost, "/v1/invoke/two", io.MultiReader(strings.NewReader(strings.Repeat("x", n)))) // of unknown length
		r.Host = "localhost"
		r.ContentLength = -1
		w := httptest.NewRecorder()
		s.answer(t, w, r)
		wantProblem(t, w, want)
	}
	many := `{"inputs": {"a": [` + strings.Repeat(`{"text": ""},`, 10) + `{"text": ""}]}}`
	wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/two", typeJSON, many), problem.RequestTooLarge)
}

// Sets arrive whole in both forms of bodies, and come back whole in both forms
// of answers.
func TestSetsRoundTrip(t *testing.T) {
	s := newServer(t)
	s.put(t, "two", "echo", twoSets)
	name := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune(`"\/.;= %äé漢`)), rapid.Rune()), 0, 12, -1).Filter(func(s string) bool { return data.CheckItemName(s) == nil })
	rapid.Check(t, func(rt *rapid.T) {
		var want []string
		var parts, inputs strings.Builder
		for i, set := range []string{"a", "b"} {
			var list []string
			key := uint32(0)
			for range rapid.IntRange(0, 3).Draw(rt, "items") {
				n, content := name.Draw(rt, "name"), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "content")
				key += rapid.Uint32Range(0, 1000).Draw(rt, "key")
				want = append(want, fmt.Sprintf("%s/%s@%d %s", string("xy"[i]), n, key, content))
				fmt.Fprintf(&parts, "--b\r\nContent-Disposition: form-data; name=%s; filename=\"%s\"\r\nPappus-Key: %d\r\n\r\n%s\r\n",
					set, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n), key, content)
				list = append(list, fmt.Sprintf(`{"name": %s, "key": %d, "data": "%s"}`, jsonString(n), key, base64.StdEncoding.EncodeToString(content)))
			}
			if i > 0 {
				inputs.WriteString(", ")
			}
			fmt.Fprintf(&inputs, `"%s": [%s]`, set, strings.Join(list, ","))
		}
		form := parts.String() + "--b--\r\n"
		if len(want) == 0 {
			form = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b--\r\n"
		}
		for typ, body := range map[string]string{"multipart/form-data; boundary=b": form, typeJSON: `{"inputs": {` + inputs.String() + `}}`} {
			for _, accept := range []string{typeJSON, typeMultipart} {
				expected := want
				if len(want) == 0 && typ != typeJSON {
					expected = []string{"x/@0 "}
				}
				w := s.ask(t, http.MethodPost, "/v1/invoke/two", typ, body, "Accept", accept)
				if got := itemsOf(t, w); strings.Join(got, "\n") != strings.Join(expected, "\n") {
					rt.Fatalf("%s to %s: %q, want %q", typ, accept, got, expected)
				}
			}
		}
	})
}

func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < 0x10000 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
