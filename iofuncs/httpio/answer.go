package httpio

import (
	"bytes"
	"maps"
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
	var b bytes.Buffer
	line := func(parts ...string) {
		for _, p := range parts {
			for i := range len(p) {
				c := p[i]
				if c < ' ' && c != '\t' || c == 0x7F {
					c = ' ' // as RFC 9110 takes it; none ends a line here
				}
				b.WriteByte(c)
			}
		}
		b.WriteByte('\n')
	}
	code := strconv.Itoa(resp.StatusCode)
	reason := strings.TrimLeft(strings.TrimPrefix(resp.Status, code), " ")
	if reason == "" {
		reason = http.StatusText(resp.StatusCode)
	}
	line(resp.Proto, " ", code, " ", reason)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if slices.Contains(perHop, name) {
			continue
		}
		for _, value := range resp.Header[name] {
			line(name, ":", value)
		}
	}
	return b.Bytes()
}

// retryable reports whether a status says that the same request may succeed later.
func retryable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
