package httpio

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pappus/iofuncs"
)

// answer is what comes of a request.
type answer struct {
	status     int
	head, body []byte
	charged    int64 // bytes
	cache      iofuncs.Cache
}

// perHop are fields about one connection, which say nothing to who gets the answer.
var perHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// header is an item of headers: VERSION CODE REASON, and fields of the form
// name:value, by their names.
func header(resp *http.Response) []byte {
	b := make([]byte, 0, 256)
	b = append(b, resp.Proto...)
	b = append(b, ' ')
	from := len(b)
	b = strconv.AppendInt(b, int64(resp.StatusCode), 10)
	reason := strings.TrimLeft(strings.TrimPrefix(resp.Status, string(b[from:])), " ")
	if reason == "" {
		reason = http.StatusText(resp.StatusCode)
	}
	b = append(b, ' ')
	b = append(b, reason...)
	b = endLine(b, 0)
	var few [16]string // most need no memory for the order
	names := few[:0]
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(perHop, name) {
			continue
		}
		for _, value := range resp.Header[name] {
			from = len(b)
			b = append(b, name...)
			b = append(b, ':')
			b = append(b, value...)
			b = endLine(b, from)
		}
	}
	return b
}

// endLine ends a line of what a server sent.
func endLine(b []byte, from int) []byte {
	for i, c := range b[from:] {
		if c < ' ' && c != '\t' || c == 0x7F {
			b[from+i] = ' ' // as RFC 9110 takes it; none ends a line here
		}
	}
	return append(b, '\n')
}

// retryable reports whether a status says that the same request may succeed later.
func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
