package main_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pappus/cases"
	"pappus/client"
	"pappus/samples"
	"pappus/server/problem"
)

// parts are the functions that samples of compositions apply.
var parts = []string{
	"callmake", "callread", "httpmake", "image-decode", "image-encode", "image-sheet", "image-thumbnail", "matmac", "matmul", "sum", "sumoccurrence", "wordcount", "wordmerge",
}

// isComposition reports whether a sample is one.
func isComposition(name string) bool {
	_, err := fs.Stat(samples.Files(), path.Join(name, name+".comp"))
	return err == nil
}

// pushComposition registers a sample, and all that it may apply.
func (p *process) pushComposition(t *testing.T, name string) {
	t.Helper()
	for _, part := range parts {
		if _, err := p.push(part, sample(t, part), client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p.compose(t, name, string(read(t, filepath.Join("../../samples", name, name+".comp"))))
}

// compose registers a source that must be accepted.
func (p *process) compose(t *testing.T, name, source string) *client.Composition {
	t.Helper()
	c, _, err := p.client.PutComposition(t.Context(), name, source, client.CompositionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode fails unless an error is the server's of that code.
func wantCode(t *testing.T, err error, code problem.Code) *client.Problem {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Code() != string(code) {
		t.Fatalf("%v, want %s", err, code)
	}
	return p
}

// Words that are counted in parts and merged are those that are counted at once.
func TestWordtotalIsWordcount(t *testing.T) {
	p := serve(t, t.TempDir())
	p.pushComposition(t, "wordtotal")
	dir, err := fs.Sub(samples.Files(), "wordcount/cases")
	if err != nil {
		t.Fatal(err)
	}
	list, err := cases.ReadAll(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		got, end := p.call(t, "wordtotal", client.Invocation{Body: multipartBody(t, tree(c.In)), Accept: client.TypeMultipart})
		if want := tree(c.Out); end != "ok" || !maps.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: %s %q, want %q", c.Name, end, got, want)
		}
	}
}

const countScript = `input set logs
input item pattern
output item total
ephemeral set partial
partial = for each log in logs : sumoccurrence(log, pattern)
total = sum(partial)
`

// A composition lives as a function does: it is registered in either form, is
// called in every way, outlives its server, and what it needs is kept.
func TestCompositionsLive(t *testing.T) {
	dir := t.TempDir()
	p := serve(t, dir)
	p.pushComposition(t, "logcount")
	if c := p.compose(t, "script", countScript); c.Version != 1 || len(c.Uses) != 2 || c.Source != countScript {
		t.Errorf("%+v", c)
	}
	outer := p.compose(t, "outer", `function count = "logcount" (logs, pattern) => (total);
composition outer(logs, pattern) => (total) {
	count(logs = all logs, pattern = all pattern) => (total = total);
}`)
	calls := func(p *process) {
		t.Helper()
		for _, name := range []string{"logcount", "script", "outer"} {
			for kind, request := range map[string][4]string{
				"GET":  {"GET", "/v1/invoke/" + name + "?in.logs=abab&in.logs=xab&in.pattern=ab"},
				"JSON": {"POST", "/v1/invoke/" + name + "?parallelism=7", client.TypeJSON, `{"inputs": {"logs": [{"name": "1", "text": "abab"}, {"name": "2", "text": "xab"}], "pattern": [{"text": "ab"}]}}`},
			} {
				status, header, body := p.do(request[0], request[1], request[2], request[3])
				if status != 200 || body != "3\n" || header.Get("Pappus-Fuel") == "" {
					t.Errorf("%s by %s: %d %q", name, kind, status, body)
				}
			}
		}
		if status, _, body := p.do("POST", "/v1/invoke/logcount?set=pattern", "", "ab"); status != 200 || body != "0\n" {
			t.Errorf("raw: %d %q", status, body)
		}
	}
	calls(p)

	// What fails within says where that was.
	status, _, body := p.do("POST", "/v1/invoke/outer", client.TypeJSON, `{"inputs": {"logs": [{"name": "first", "text": "a"}], "pattern": [{"text": ""}]}}`)
	if status != 422 || !strings.Contains(body, `"exit_code":1`) || !strings.Contains(body, `"index":0`) || !strings.Contains(body, "Count") || !strings.Contains(body, "first") {
		t.Errorf("%d %s", status, body)
	}

	p.stop()
	p = serve(t, dir)
	calls(p)
	again, created, err := p.client.PutComposition(t.Context(), "outer", outer.Source, client.CompositionOptions{})
	if err != nil || created || again.Digest != outer.Digest {
		t.Errorf("the same again: %+v, created: %t, %v", again, created, err)
	}

	other := client.PutOptions{Inputs: []string{"texts"}, Outputs: []string{"total"}}
	_, err = p.push("sum", sample(t, "sum"), other)
	if broken := wantCode(t, err, problem.SignatureBreaks); len(broken.Users) != 2 || broken.Users[0].Name != "logcount" || broken.Users[1].Name != "script" {
		t.Errorf("%+v", broken.Users)
	}
	if used := wantCode(t, p.client.DeleteFunction(t.Context(), "sum"), problem.InUse); len(used.Users) != 2 {
		t.Errorf("%+v", used.Users)
	}
	wantCode(t, p.client.DeleteComposition(t.Context(), "logcount"), problem.InUse)
	wantCode(t, p.client.RemoveCompositionTag(t.Context(), "logcount", "latest"), problem.InUse)
	calls(p)
	other.Force = true
	if _, err := p.push("sum", sample(t, "sum"), other); err != nil {
		t.Fatal(err)
	}
	_, err = p.client.Invoke(t.Context(), "outer", client.Invocation{Body: client.BytesBody(nil, ""), Query: url.Values{}})
	wantCode(t, err, problem.BrokenComposition)
	if _, err := p.client.SetTag(t.Context(), "sum", "latest", "1"); err != nil {
		t.Fatal(err)
	}
	calls(p)
	if err := p.client.DeleteFunction(t.Context(), "sum", client.Force()); err != nil {
		t.Fatal(err)
	}
	_, err = p.client.CheckComposition(t.Context(), "", countScript)
	if invalid := wantCode(t, err, problem.InvalidComposition); len(invalid.Errors) != 1 || invalid.Errors[0].Line != 6 {
		t.Errorf("%+v", invalid.Errors)
	}
}

// The Go client sees what the server says of compositions.
func TestCompositionClient(t *testing.T) {
	p := serve(t, t.TempDir())
	p.pushComposition(t, "logcount")
	source := string(read(t, "../../samples/logcount/logcount.comp"))
	two, created, err := p.client.PutComposition(t.Context(), "logcount", source+"\nfunction Spare = \"sum\" (numbers) => (total);\n", client.CompositionOptions{Tags: []string{"next"}})
	if err != nil || created && two.Version != 2 || len(two.Warnings) != 1 {
		t.Fatalf("%+v %v", two, err)
	}
	checked, err := p.client.CheckComposition(t.Context(), "logcount", source)
	if err != nil || len(checked.Inputs) != 2 || checked.Outputs[0].Name != "total" || len(checked.Warnings) != 0 {
		t.Errorf("%+v %v", checked, err)
	}
	if c, err := p.client.GetComposition(t.Context(), "logcount@1"); err != nil || c.Source != source {
		t.Errorf("%+v %v", c, err)
	}
	if page, err := p.client.ListCompositions(t.Context(), "", 1); err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("%+v %v", page, err)
	}
	if page, err := p.client.CompositionVersions(t.Context(), "logcount", "", 0); err != nil || len(page.Items) != int(two.Version) {
		t.Errorf("%+v %v", page, err)
	}
	if c, err := p.client.SetCompositionTag(t.Context(), "logcount", "stable", "1"); err != nil || c.Tags["stable"] != 1 {
		t.Errorf("%+v %v", c, err)
	}
	if err := p.client.RemoveCompositionTag(t.Context(), "logcount", "stable"); err != nil {
		t.Error(err)
	}
	answer, err := p.client.Invoke(t.Context(), "logcount@1", client.Invocation{Body: jsonBody(t, map[string][]byte{"logs/a": []byte("xx"), "pattern/p": []byte("x")}), Query: url.Values{"parallelism": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Close()); err != nil || string(text) != "2\n" {
		t.Errorf("%q %v", text, err)
	}
	if err := p.client.DeleteComposition(t.Context(), "logcount"); err != nil {
		t.Error(err)
	}
	_, err = p.client.GetComposition(t.Context(), "logcount")
	wantCode(t, err, problem.UnknownComposition)
}

// What applies I/O functions, or is one, is called like anything else, but not by
// GET; nothing can take an I/O function's place, and nothing holds one.
func TestIOFunctions(t *testing.T) {
	dir := t.TempDir()
	p := serve(t, dir)
	p.pushComposition(t, "callall")
	job := `{"inputs": {"jobs": [{"name": "a", "text": "sum numbers\n1 2 3"}]}}`
	status, header, body := p.do("POST", "/v1/invoke/callall?trace=1", client.TypeJSON, job)
	if status != 200 || body != "6\n" || header.Get("Pappus-Fuel") == "0" {
		t.Errorf("%d %q %v", status, body, header)
	}
	if _, _, record := p.do("GET", "/v1/runs/"+header.Get("Pappus-Run"), "", ""); !strings.Contains(record, `"callee":"system_Invoke"`) {
		t.Errorf("%s", record)
	}
	status, header, body = p.do("GET", "/v1/invoke/callall?in.jobs=x", "", "")
	if status != 405 || header.Get("Allow") != "POST" || !strings.Contains(body, "method-not-allowed") {
		t.Errorf("by GET: %d %v %s", status, header, body)
	}
	request := "INVOKE sum\n0 3 numbers/\n4 5\n"
	if status, _, body = p.do("POST", "/v1/invoke/system_Invoke", "", request); status != 200 || !strings.HasPrefix(body, "OK ") || !strings.HasSuffix(body, "\n0 2 total/total\n9\n\n") {
		t.Errorf("alone: %d %q", status, body)
	}
	r := command(t.Context(), t, p.url, "invoke", "system_Invoke", "--in", "requests=text:"+request)
	if r.exit != 0 || !strings.HasSuffix(r.stdout, "\n0 2 total/total\n9\n\n") {
		t.Errorf("%d %q %q", r.exit, r.stdout, r.stderr)
	}
	for path, want := range map[string]int{"system_Invoke": 405, "system_Other": 404, "system_Invoke@3": 404} {
		if status, _, body := p.do("GET", "/v1/invoke/"+path, "", ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, body = p.do("POST", "/v1/invoke/system_Invoke", "", "sum"); status != 502 || !strings.Contains(body, "io-failed") || !strings.Contains(body, "a line of at most") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := p.do("GET", "/v1/functions/system_Invoke", "", ""); status != 404 || !strings.Contains(body, "it is an I/O function") {
		t.Errorf("%d %s", status, body)
	}
	if _, _, metrics := p.do("GET", "/metrics", "", ""); !strings.Contains(metrics, `pappus_io_calls_total{function="system_Invoke",outcome="ok"} 3`) || !strings.Contains(metrics, `pappus_io_calls_total{function="system_Invoke",outcome="io-failed"} 1`) {
		t.Error("the calls are not counted")
	}
	// Pinning leaves it alone.
	r = command(t.Context(), t, p.url, "compose", "push", "--pin", "--json", "../../samples/callall/callall.comp")
	if r.exit != 0 || !strings.Contains(r.stdout, "callmake@sha256:") || strings.Contains(r.stdout, "system_Invoke@") {
		t.Errorf("%d %s %s", r.exit, r.stdout, r.stderr)
	}
	p.stop()
	p = serve(t, dir)
	if status, _, body = p.do("POST", "/v1/invoke/callall", client.TypeJSON, job); status != 200 || body != "6\n" {
		t.Errorf("after a restart: %d %q", status, body)
	}
	wantCode(t, p.client.DeleteFunction(t.Context(), "callread"), problem.InUse)
	if err := p.client.DeleteComposition(t.Context(), "callall"); err != nil {
		t.Error(err)
	}
}
