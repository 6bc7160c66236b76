package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// maxProblem is how much of an error's document is read, in bytes.
const maxProblem = 1 << 20

// Problem is the server's answer to a request that failed: an RFC 9457
// problem document.
type Problem struct {
	Type     string `json:"type"` // a reference whose last part is the code
	Title    string `json:"title"`
	Status   int    `json:"status"` // HTTP status
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"` // the request's id
	Hint     string `json:"hint,omitempty"`     // what to do

	Errors   []Located `json:"errors,omitempty"`   // where in the request
	Declared []string  `json:"declared,omitempty"` // what there is, where something unknown was named
	Imports  []string  `json:"imports,omitempty"`  // of rejected code

	ExitCode    *int32   `json:"exit_code,omitempty"` // of the function
	Stderr      string   `json:"stderr,omitempty"`    // the last of what it wrote there
	Stack       []string `json:"stack,omitempty"`     // its calls, innermost first
	Usage       *Usage   `json:"usage,omitempty"`
	Application string   `json:"application,omitempty"` // of a composition
	Index       *int     `json:"index,omitempty"`       // of the application's instance
	Item        string   `json:"item,omitempty"`

	RetryAfter time.Duration `json:"-"` // when to try again; 0 if the server does not say
}

// Located is something wrong at a place of the request.
type Located struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Usage is what a run took, as far as it is deterministic.
type Usage struct {
	Fuel        int64 `json:"fuel"`
	MemoryPages int64 `json:"memory_pages"` // of 64 KiB
}

// Code is the last part of the type, as in "trap" or "unknown-function"; ""
// for answers that are no problem documents.
func (p *Problem) Code() string {
	if p.Type == "" || p.Type == "about:blank" {
		return ""
	}
	return path.Base(p.Type)
}

func (p *Problem) Error() string {
	text := p.Title
	if code := p.Code(); code != "" {
		text = code
	}
	if p.ExitCode != nil {
		text += fmt.Sprintf(" with code %d", *p.ExitCode)
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// readProblem makes a problem of an answer whose status is not 2xx.
func readProblem(resp *http.Response) *Problem {
	p := new(Problem)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/problem+json" || json.Unmarshal(body, p) != nil {
		*p = Problem{Title: fmt.Sprintf("the server answered %s", resp.Status)}
		if strings.HasPrefix(mediaType, "text/plain") {
			p.Detail = strings.TrimSpace(string(body[:min(len(body), 500)]))
		}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}
