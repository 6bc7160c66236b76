package docs_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page's metrics have the types and labels that a server shows, and its
// queries ask for series that there are.
func TestMetricsOfServer(t *testing.T) {
	term := newTerminal(t)
	term.serve(0, term.here("bin/pappus serve --data /tmp/pappus --buckets b=mem://"), nil)
	defer http.DefaultClient.CloseIdleConnections()
	ask := func(method, path, body string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:"+term.port+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode > 299 {
			t.Fatalf("%s %s: %s %s (%v)", method, path, resp.Status, text, err)
		}
		return text
	}
	// What is counted by function is there once one was called.
	ask(http.MethodPut, "/v1/functions/f", read(t, "samples/wordcount/wordcount.wasm"))
	ask(http.MethodPost, "/v1/invoke/f", "to be")
	text := ask(http.MethodGet, "/metrics", "")
	there, values := map[string]string{}, map[string]bool{}
	for _, family := range strings.Split(string(text), "# TYPE ")[1:] {
		head, samples, _ := strings.Cut(family, "\n")
		name, kind, _ := strings.Cut(head, " ")
		if !strings.HasPrefix(name, "pappus_") {
			continue
		}
		labels := map[string]bool{}
		for _, l := range regexp.MustCompile(`[{,](\w+)="([^"]*)"`).FindAllStringSubmatch(samples, -1) {
			if l[1] != "le" { // of histograms, whose type says so
				labels[l[1]] = true
				values[name+" "+l[1]+" "+l[2]] = true
			}
		}
		there[name] = kind + " " + strings.Join(slices.Sorted(maps.Keys(labels)), " ")
	}

	page := read(t, "docs/metrics.md")
	quoted := regexp.MustCompile("`([^`]+)`")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`pappus_.*?) \\| (\\w+) \\| (.*?) ?\\| ").FindAllStringSubmatch(page, -1) {
		var labels []string
		for _, l := range quoted.FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		for _, name := range quoted.FindAllStringSubmatch(row[1], -1) {
			documented[name[1]] = row[2] + " " + strings.Join(labels, " ")
		}
	}
	if !maps.Equal(documented, there) {
		t.Errorf("the page has\n%q\nthere are\n%q", documented, there)
	}

	asked := 0
	for _, query := range regexp.MustCompile(`(pappus_\w+?)(_bucket)?\b(?:\{(\w+)!?="(\w+)"\})?[\[) /\n]`).FindAllStringSubmatch(page[strings.Index(page, "## Queries"):], -1) {
		asked++
		name, label, value := query[1], query[3], query[4]
		if _, ok := there[name]; !ok || label != "" && !values[name+" "+label+" "+value] {
			t.Errorf("nothing answers %q", query[0])
		}
	}
	if asked < 12 {
		t.Errorf("only %d parts of queries: has the page's form changed?", asked)
	}
}
