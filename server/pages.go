package server

import (
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pappus/server/problem"
	"pappus/server/viewer"
)

// openAPIDocument is the description of every route.
//
//go:embed openapi.yaml
var openAPIDocument []byte

const (
	typeHTML = "text/html; charset=utf-8"
	typeYAML = "application/yaml"
)

const homePage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Pappus</title></head><body>
<h1>Pappus</h1>
<p>A server of pure functions. Nothing runs on this page; these are what there is:</p>
<ul>
<li><a href="/v1/functions">/v1/functions</a>: the functions that are registered</li>
<li><a href="/v1/compositions">/v1/compositions</a>: the compositions of them</li>
<li><a href="/docs">/docs</a>: the interface, to read and to try; <a href="/openapi.yaml">/openapi.yaml</a>: the same for tools</li>
<li><a href="/metrics">/metrics</a>: figures for Prometheus</li>
<li><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>: whether it is up, and takes work</li>
</ul>
<pre>curl -T function.wasm ADDRESS/v1/functions/NAME
curl --data-binary @input ADDRESS/v1/invoke/NAME
curl 'ADDRESS/v1/invoke/NAME?in.SET=TEXT'</pre>
</body></html>
`

// plain makes the handler of a page, which has no parameters.
func plain(h handler) handler {
	return func(x *exchange) error {
		if err := noQuery(x.r.URL.RawQuery); err != nil {
			return err
		}
		return h(x)
	}
}

// home shows commands with the address that the client used.
func (s *Server) home(x *exchange) error {
	host := x.r.Host
	if !isPlainHost(host) {
		host = "localhost"
	}
	return x.writePage(typeHTML, []byte(strings.ReplaceAll(homePage, "ADDRESS", schemeOf(x.r)+host)))
}

// isPlainHost reports whether a Host has nothing that means something to a
// shell or in a page. A link can lead a browser to $(anything).localhost, which
// is a loopback name, and people paste what they see.
func isPlainHost(host string) bool {
	for _, c := range []byte(host) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte(".-_:[]", c) < 0 {
			return false
		}
	}
	return host != ""
}

func (s *Server) healthz(x *exchange) error { return x.writePage(typeText, []byte("ok\n")) }

func (s *Server) readyz(x *exchange) error {
	if err := s.dispatcher.Ready(); err != nil {
		p := problem.New(problem.NotReady, err.Error())
		p.RetryAfter = x.policy.MemoryWait
		return p
	}
	return x.writePage(typeText, []byte("ready\n"))
}

func (s *Server) openAPI(x *exchange) error { return x.writePage(typeYAML, openAPIDocument) }

// docs shows the description to people.
func (s *Server) docs(x *exchange) error {
	x.w.Header()["Content-Security-Policy"] = []string{viewer.Policy} // it is a page of ours
	return x.writePage(s.viewer.Type, s.viewer.Content)
}

// docsFile answers with a file of that page.
func (s *Server) docsFile(x *exchange) error {
	name := x.param("file")
	f, ok := s.viewerFiles[name]
	if !ok {
		return problem.New(problem.NotFound, "there is nothing at "+quote(x.r.URL.Path))
	}
	h := x.w.Header()
	h["Cache-Control"] = []string{"max-age=3600"}
	if f.Compressed == nil {
		return x.writePage(f.Type, f.Content)
	}
	h["Vary"] = append([]string{"Accept-Encoding"}, h["Vary"]...)
	if takesGzip(x.r.Header["Accept-Encoding"]) {
		h["Content-Encoding"] = []string{"gzip"}
		return x.writePage(f.Type, f.Compressed)
	}
	content, err := f.Plain()
	if err != nil {
		return err
	}
	return x.writePage(f.Type, content)
}

// takesGzip reports whether an Accept-Encoding names gzip and does not refuse
// it.
func takesGzip(values []string) bool {
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, weighted := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			n, ok := parseQuality(q)
			return !weighted || ok && n > 0
		}
	}
	return false
}

func (s *Server) showMetrics(x *exchange) error {
	x.writeDeadline(time.Now().Add(x.policy.Grace))
	promhttp.HandlerFor(s.gatherer, promhttp.HandlerOpts{}).ServeHTTP(x.Response(), x.r)
	return nil
}

// errorPage shows what the catalogue says of a code: where a problem's type
// leads to.
func (s *Server) errorPage(x *exchange) error {
	code := x.param("code")
	page, ok := s.pages[problem.Code(code)]
	if !ok {
		return problem.New(problem.NotFound, "there is no error "+quote(code))
	}
	return x.writePage(typeHTML, page)
}

// errorPages renders the catalogue, a page a code.
func errorPages() map[problem.Code][]byte {
	pages := make(map[problem.Code][]byte)
	for _, e := range problem.Catalogue() {
		var b strings.Builder
		title := template.HTMLEscapeString(e.Title)
		b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + title + "</title></head><body>\n")
		b.WriteString("<h1>" + title + "</h1>\n<p><code>" + template.HTMLEscapeString(string(e.Code)) + "</code>, status " +
			strconv.Itoa(e.Status) + " " + http.StatusText(e.Status) + "</p>\n")
		b.WriteString("<p>" + template.HTMLEscapeString(e.Description) + "</p>\n<p>What to do: " + template.HTMLEscapeString(e.Hint) + "</p>\n</body></html>\n")
		pages[e.Code] = []byte(b.String())
	}
	return pages
}

// writePage answers 200 with a body that is there.
func (x *exchange) writePage(contentType string, body []byte) error {
	return x.writeRaw(body, contentType)
}
