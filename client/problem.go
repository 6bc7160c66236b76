package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxProblem is how much of an error's document is read, in bytes.
const maxProblem = 1 << 20

// readProblem makes a problem of an answer whose status is not 2xx.
func readProblem(resp *http.Response) *Problem {
	p := new(Problem)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/problem+json" || json.Unmarshal(body, p) != nil {
		*p = Problem{Title: fmt.Sprintf("the server answered %s", resp.Status)}
		if to := resp.Header.Get("Location"); to != "" {
			p.Title += fmt.Sprintf(" and sends to %.200q, where nobody was asked", to)
		}
		if strings.HasPrefix(mediaType, "text/plain") {
			p.Detail = strings.TrimSpace(string(body[:min(len(body), 500)]))
		}
	}
	p.Status, p.RunID = resp.StatusCode, resp.Header.Get(runHeader)
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}
