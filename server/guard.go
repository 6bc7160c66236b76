package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"pappus/server/problem"
)

// guard decides who may talk to a server without keys: nobody who came through
// a name that is not the server's own (DNS rebinding), and no web page from
// elsewhere. It looks at every request before the router does.
type guard struct {
	remote  bool
	hosts   []string // in lower case
	origins []string
}

// What a page of an allowed origin may send and see.
const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE"
	corsHeaders = "Content-Type, Accept, X-Request-Id, Cache-Control, Pragma, If-None-Match, Traceparent"
	corsExposed = "Pappus-Fuel, Pappus-Run, Server-Timing, X-Request-Id, Retry-After, Location, ETag, Cache-Status"
	corsMaxAge  = "600" // seconds for which a browser need not ask again
)

// valueOrigin is shared by all answers.
var valueOrigin = []string{"Origin"}

// check refuses a request, or, for one of an allowed origin, says so in the
// answer's header.
func (g *guard) check(r *http.Request, answer http.Header) error {
	if !g.hostAllowed(r.Host) {
		return problem.New(problem.ForeignHost, "Host is "+quote(r.Host)+", which is not a loopback name or address")
	}
	if len(g.origins) > 0 {
		answer["Vary"] = valueOrigin // caches keep an answer for each
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 && site[0] == "cross-site" {
			return problem.New(problem.ForeignOrigin, "the browser says that the request is cross-site")
		}
		return nil
	}
	if len(origins) > 1 {
		return problem.New(problem.ForeignOrigin, "there are several Origin headers")
	}
	origin := origins[0]
	if slices.Contains(g.origins, origin) {
		answer["Access-Control-Allow-Origin"] = []string{origin}
		answer["Access-Control-Expose-Headers"] = []string{corsExposed}
		return nil
	}
	if !sameOrigin(r, origin) {
		return problem.New(problem.ForeignOrigin, "Origin is "+quote(origin)+", which is not allowed")
	}
	return nil
}

// preflight puts into the answer's header what answers a browser's question
// whether a page may send a request; it reports whether the request was one.
func (g *guard) preflight(r *http.Request, h http.Header) bool {
	if r.Method != http.MethodOptions || r.Header["Access-Control-Request-Method"] == nil || h["Access-Control-Allow-Origin"] == nil {
		return false
	}
	h["Access-Control-Allow-Methods"] = []string{corsMethods}
	h["Access-Control-Allow-Headers"] = []string{corsHeaders}
	h["Access-Control-Max-Age"] = []string{corsMaxAge}
	if r.Header["Access-Control-Request-Private-Network"] != nil {
		h["Access-Control-Allow-Private-Network"] = []string{"true"} // the page comes from outside, and the operator knows it
	}
	return true
}

func sameOrigin(r *http.Request, origin string) bool {
	host, ok := strings.CutPrefix(origin, schemeOf(r))
	return ok && host == r.Host
}

// schemeOf is how a URL begins that leads to where the request came.
func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}

func (g *guard) hostAllowed(hostport string) bool {
	host := hostOf(hostport)
	if host == "localhost" || host == "127.0.0.1" {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && (g.remote || addr.Unmap().IsLoopback())
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(g.hosts, name)
}

// hostOf takes the port and an IPv6 address's brackets off a Host header.
func hostOf(hostport string) string {
	if strings.HasPrefix(hostport, "[") {
		host, rest, ok := strings.Cut(hostport[1:], "]")
		if !ok || rest != "" && !isPort(rest) {
			return ""
		}
		return host
	}
	host, _, ok := strings.Cut(hostport, ":")
	if ok && !isPort(hostport[len(host):]) {
		return ""
	}
	return host
}

func isPort(s string) bool {
	if s == "" || s[0] != ':' || len(s) > 6 {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}
