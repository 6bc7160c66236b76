package contract_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"pappus/internal/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const description = `
openapi: 3.0.3
info: {title: Test, version: "1"}
paths:
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, pattern: "^[a-z]+$"}}
    get:
      operationId: get
      parameters:
        - {name: n, in: query, schema: {type: integer, minimum: 1}}
      responses:
        "200":
          description: It
          headers:
            X-Id: {required: true, schema: {type: integer}}
          content:
            application/json: {schema: {$ref: "#/components/schemas/Thing"}}
            multipart/mixed: {schema: {type: object, required: [a], additionalProperties: {type: array, maxItems: 1, items: {type: string}}}}
        "404": {$ref: "#/components/responses/Problem"}
        default: {$ref: "#/components/responses/Problem"}
    head:
      operationId: head
      responses:
        "200":
          description: It
          headers:
            X-Id: {required: true, schema: {type: integer}}
          content:
            application/json: {schema: {$ref: "#/components/schemas/Thing"}}
    post:
      operationId: post
      parameters:
        - {name: raw, in: query, schema: {type: string}, x-raw-body: true}
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Thing"}}
          multipart/form-data: {schema: {type: object, additionalProperties: false, properties: {file: {type: string}}}}
      responses:
        "204": {description: Done}
    patch:
      operationId: patch
      responses:
        "204": {description: Done}
components:
  responses:
    Problem:
      description: It failed
      content:
        application/problem+json: {schema: {$ref: "#/components/schemas/Problem"}}
  schemas:
    Thing: {type: object, required: [name], properties: {name: {type: string, maxLength: 3}}}
    Problem: {type: object, required: [title], properties: {title: {type: string}}}
`

func load(t *testing.T) *contract.Contract {
	t.Helper()
	c, err := contract.Load([]byte(description))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange is one in short: METHOD TARGET, the request's body by its type, the
// answer.
type exchange struct {
	method, target   string
	sentType, sent   string
	status           int
	header           string // NAME: VALUE|NAME: VALUE
	answerType, body string
}

func (e exchange) full(t *testing.T) contract.Exchange {
	t.Helper()
	u, err := url.Parse(e.target)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: e.method, URL: u, Header: http.Header{}}
	if e.sentType != "" {
		r.Header.Set("Content-Type", e.sentType)
	}
	x := contract.Exchange{Request: r, Sent: contract.Body{Bytes: []byte(e.sent), Whole: true}, Status: e.status, Header: http.Header{}, Answer: contract.Body{Bytes: []byte(e.body), Whole: true}}
	if e.answerType != "" {
		x.Header.Set("Content-Type", e.answerType)
	}
	for field := range strings.SplitSeq(e.header, "|") {
		if name, value, ok := strings.Cut(field, ": "); ok {
			x.Header.Set(name, value)
		}
	}
	return x
}

const (
	asJSON    = "application/json"
	asProblem = "application/problem+json"
	form      = "multipart/form-data; boundary=b"
	mixed     = "multipart/mixed; boundary=b"
)

func part(disposition, content string) string {
	return "--b\r\nContent-Disposition: " + disposition + "\r\n\r\n" + content + "\r\n"
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		x    exchange
		want string // in the error; "" for none
	}{
		{"as described", exchange{"GET", "/things/a?n=1", "", "", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, ""},
		{"an escaped path", exchange{"GET", "/things/%61", "", "", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, ""},
		{"a problem", exchange{"GET", "/things/a", "", "", 404, "", asProblem, `{"title": "x"}`}, ""},
		{"a failure of the server", exchange{"GET", "/things/a", "", "", 500, "", asProblem, `{"title": "x"}`}, ""},
		{"a bad request that is refused", exchange{"GET", "/things/A?n=0", "", "", 404, "", asProblem, `{"title": "x"}`}, ""},
		{"a status that is not there", exchange{"GET", "/things/a", "", "", 418, "", asProblem, `{"title": "x"}`}, "no such status"},
		{"a header is missing", exchange{"GET", "/things/a", "", "", 200, "", asJSON, `{"name": "abc"}`}, "X-Id"},
		{"a header is wrong", exchange{"GET", "/things/a", "", "", 200, "X-Id: x", asJSON, `{"name": "abc"}`}, "X-Id"},
		{"a header is not described", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1|X-Other: 1", asJSON, `{"name": "abc"}`}, "X-Other"},
		{"another type", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", "text/plain", `x`}, "text/plain"},
		{"no type", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", "", `x`}, "no type"},
		{"a value", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"name": "abcd"}`}, "maximum"},
		{"a member too few", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{}`}, "name"},
		{"a member too many", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"name": "a", "size": 1}`}, "size"},
		{"no JSON", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"name"`}, "can't be read"},
		{"two JSONs", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"name": "a"} {}`}, "follows"},
		{"parts", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`attachment; name=a`, "x") + "--b--"}, ""},
		{"a part too many", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`attachment; name=a`, "x") + part(`attachment; name=a`, "x") + "--b--"}, "maximum"},
		{"a part too few", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`attachment; name=b`, "x") + "--b--"}, `"a"`},
		{"parts of a form", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`form-data; name=a`, "x") + "--b--"}, "form-data"},
		{"cut parts", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`attachment; name=a`, "x")}, "can't be read"},
		{"parts cut at a boundary", exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", mixed, part(`attachment; name=a`, "x") + "--b\r\n"}, "can't be read"},
		{"a wrong problem", exchange{"GET", "/things/a", "", "", 404, "", asProblem, `{}`}, "title"},
		{"a bad path is accepted", exchange{"GET", "/things/A", "", "", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, "accepted"},
		{"a bad parameter is accepted", exchange{"GET", "/things/a?n=0", "", "", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, "accepted"},
		{"an unknown parameter is accepted", exchange{"GET", "/things/a?m=0", "", "", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, `"m"`},
		{"a body that means nothing", exchange{"GET", "/things/a", "", "x", 200, "X-Id: 1", asJSON, `{"name": "abc"}`}, ""},
		{"a body is accepted", exchange{"PATCH", "/things/a", "", "x", 204, "", "", ""}, "body"},
		{"HEAD", exchange{"HEAD", "/things/a", "", "", 200, "X-Id: 1", asJSON, ""}, ""},
		{"HEAD without a header", exchange{"HEAD", "/things/a", "", "", 200, "", asJSON, ""}, "X-Id"},
		{"HEAD of another type", exchange{"HEAD", "/things/a", "", "", 200, "X-Id: 1", "text/plain", ""}, "text/plain"},
		{"HEAD with a body", exchange{"HEAD", "/things/a", "", "", 200, "X-Id: 1", asJSON, "{}"}, "content"},
		{"a body that is described", exchange{"POST", "/things/a", asJSON, `{"name": "a"}`, 204, "", "", ""}, ""},
		{"a body that is not", exchange{"POST", "/things/a", asJSON, `{"name": 1}`, 204, "", "", ""}, "accepted"},
		{"a type that is not", exchange{"POST", "/things/a", "text/plain", `x`, 204, "", "", ""}, "text/plain"},
		{"raw, whatever the type", exchange{"POST", "/things/a?raw=1", asJSON, `x`, 204, "", "", ""}, ""},
		{"no body where one is due", exchange{"POST", "/things/a", asJSON, "", 204, "", "", ""}, "no body"},
		{"content where there is none", exchange{"POST", "/things/a", asJSON, `{"name": "a"}`, 204, "", "", "x"}, "content"},
		{"a form", exchange{"POST", "/things/a", form, part("form-data; name=file", "x") + "--b--", 204, "", "", ""}, ""},
		{"a form with another part", exchange{"POST", "/things/a", form, part("form-data; name=other", "x") + "--b--", 204, "", "", ""}, "other"},
		{"a form with two", exchange{"POST", "/things/a", form, part("form-data; name=file", "x") + part("form-data; name=file", "x") + "--b--", 204, "", "", ""}, "more than one"},
		{"an unknown path", exchange{"GET", "/other", "", "", 404, "", asProblem, `{"title": "x"}`}, ""},
		{"an unknown path that is there", exchange{"GET", "/other", "", "", 200, "", asJSON, `{}`}, "no such path"},
		{"an unknown path without a problem", exchange{"GET", "/things/", "", "", 404, "", "text/plain", `x`}, "text/plain"},
		{"an unknown method", exchange{"PUT", "/things/a", "", "", 405, "Allow: GET", asProblem, `{"title": "x"}`}, ""},
		{"an unknown method, not saying", exchange{"PUT", "/things/a", "", "", 405, "", asProblem, `{"title": "x"}`}, "allowed"},
		{"an unknown method that is taken", exchange{"PUT", "/things/a", "", "", 204, "", "", ""}, "no such method"},
		{"a question", exchange{"OPTIONS", "/things/a", "", "", 204, "Allow: GET", "", ""}, ""},
		{"a question without answer", exchange{"OPTIONS", "/things/a", "", "", 204, "", "", ""}, "no such method"},
	} {
		err := load(t).Check(c.x.full(t))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Of a body that was not seen to its end, nothing is said.
func TestCutBodies(t *testing.T) {
	x := exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"na`}.full(t)
	x.Answer.Whole = false
	if err := load(t).Check(x); err != nil {
		t.Error(err)
	}
}

func TestUnseen(t *testing.T) {
	c := load(t)
	if err := c.Check(exchange{"GET", "/things/a", "", "", 200, "X-Id: 1", asJSON, `{"name": "a"}`}.full(t)); err != nil {
		t.Error(err)
	}
	var names []string
	for _, p := range c.Unseen() {
		names = append(names, p.String())
	}
	if got := strings.Join(names, ", "); got != "get 404, head 200, patch 204, post 204" {
		t.Errorf("unseen are %s", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, text := range []string{"", "openapi: 3.0.3", strings.Replace(description, "maxLength: 3", "maxLength: 3, example: long", 1), strings.Replace(description, "Problem: {type: object", "Broken: {type: object", 1)} {
		if _, err := contract.Load([]byte(text)); err == nil {
			t.Errorf("it takes %.40q", text)
		}
	}
}

// What a handler read of the body counts as seen.
func TestServe(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for body, ok := range map[string]bool{`{"name": "a"}`: true, `{"name": 1}`: false} {
		r := httptest.NewRequest(http.MethodPost, "/things/a", bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", asJSON)
		if err := load(t).Serve(h, httptest.NewRecorder(), r); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}
