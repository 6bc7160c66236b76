package httpcache

import "net/http"

// NextOf is what a transport asks.
func NextOf(t *Transport) http.RoundTripper { return t.next }
