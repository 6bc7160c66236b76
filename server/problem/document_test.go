package problem

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run TestDocumentIsCurrent -update .

var update = flag.Bool("update", false, "write docs/errors.md instead of comparing it")

// markdown is the catalogue as a page of the documentation.
func markdown() string {
	var b strings.Builder
	b.WriteString("# Errors\n\n" +
		"Made from the catalogue in `server/problem` by `make generate`.\n\n" +
		"Whatever fails is a problem document (RFC 9457) of type `" + ContentType + "`. Its `type` is `" + TypePrefix + "CODE`, where a\n" +
		"server explains the code; `detail` says what happened this time, `hint` what to do, `instance` is the request's id, as in the\n" +
		"header `X-Request-Id` and in the server's log. Faults of functions have, where they exist, `exit_code`, `stderr` (its tail), `stack`\n" +
		"(innermost call first) and `usage`.\n\n" +
		"Codes that begin with `limit-` are of compositions, and `egress-refused`, `io-failed` and `io-timeout` of I/O functions.\n" +
		"`not-cached` and `precondition-failed` are of [remembered results](memo.md).\n\n" +
		"| code | status | |\n|---|---|---|\n")
	for _, e := range Catalogue() {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %d | %s |\n", e.Code, e.Code, e.Status, e.Title)
	}
	for _, e := range Catalogue() {
		fmt.Fprintf(&b, "\n## %s\n\n%d %s: %s.\n\n%s\n\n**What to do.** %s\n", e.Code, e.Status, http.StatusText(e.Status), e.Title, e.Description, e.Hint)
	}
	return b.String()
}

func TestDocumentIsCurrent(t *testing.T) {
	const file = "../../docs/errors.md"
	want := markdown()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/errors.md is not what the catalogue says; run: make generate")
	}
}
