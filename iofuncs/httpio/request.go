package httpio

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"pappus/iofuncs/egress"
)

// What an item may have before its body.
const (
	maxHead   = 256 << 10 // bytes
	maxFields = 1000
)

const (
	schemeHTTP     = "http"
	schemeHTTPS    = "https"
	idempotencyKey = "Idempotency-Key"
)

// request is what an item asks for. Nothing but the body refers to the item.
type request struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte
}

// repeatable reports whether making the request twice is like making it once.
func (r *request) repeatable() bool {
	switch r.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.header.Get(idempotencyKey) != "" || r.header.Get("X-"+idempotencyKey) != ""
}

// parseRequest reads an item: METHOD URI VERSION, header fields of the form
// name:value, an empty line, and the body. Lines end with a line feed, or a carriage
// return and a line feed.
func parseRequest(content []byte) (*request, error) {
	line, rest, err := nextLine(content)
	if err != nil {
		return nil, fmt.Errorf("the request line: %w", err)
	}
	method, after, _ := strings.Cut(line, " ")
	uri, version, three := strings.Cut(after, " ")
	if !three || strings.Contains(version, " ") {
		return nil, notThree(line)
	}
	r := &request{method: method, header: http.Header{}}
	switch {
	case !isToken(method):
		return nil, fmt.Errorf("%.40q is not a method", method)
	case method == http.MethodConnect:
		return nil, errors.New("the method CONNECT asks for a tunnel, and there is none")
	case version != "HTTP/1.1" && version != "HTTP/2" && version != "HTTP/1.0" && version != "HTTP/2.0":
		return nil, fmt.Errorf("%.40q is not a version: HTTP/1.1, HTTP/2 or HTTP/1.0", version)
	}
	if r.url, err = parseURI(uri); err != nil {
		return nil, err
	}
	for fields := 0; ; fields++ {
		if line, rest, err = nextLine(rest); err != nil {
			return nil, fmt.Errorf("header field %d: %w", fields+1, err)
		}
		if line == "" {
			break
		}
		if fields == maxFields || len(content)-len(rest) > maxHead {
			return nil, fmt.Errorf("it has more than %d header fields, or %d bytes of them", maxFields, maxHead)
		}
		if err := r.addField(line); err != nil {
			return nil, fmt.Errorf("header field %d: %w", fields+1, err)
		}
	}
	r.body = rest
	return r, nil
}

// notThree says what is wrong with a request line that has not two spaces.
func notThree(line string) error {
	parts := strings.Split(line, " ")
	if last := len(parts) - 1; last > 2 && parts[0] != "" && parts[1] != "" && strings.HasPrefix(parts[last], "HTTP/") {
		return fmt.Errorf("the URI of the request line %.80q has a space in it, which has to be written as %%20", shown(line))
	}
	return fmt.Errorf("the request line %.80q is not METHOD URI VERSION with one space between them", shown(line))
}

// nextLine takes a line from the beginning of content.
func nextLine(content []byte) (line string, rest []byte, err error) {
	end := bytes.IndexByte(content[:min(len(content), maxHead)], '\n')
	if end < 0 {
		if len(content) > maxHead {
			return "", nil, fmt.Errorf("the line is longer than %d bytes", maxHead)
		}
		return "", nil, errors.New("the item ends before the line does; an empty line ends the header, also where there is no body")
	}
	line, rest = string(content[:end]), content[end+1:]
	return strings.TrimSuffix(line, "\r"), rest, nil
}

func (r *request) addField(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return fmt.Errorf("%.80q is not name:value", line)
	}
	value = strings.Trim(value, " \t")
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F }) {
		return fmt.Errorf("the value of %.80s has control characters", name)
	}
	key := http.CanonicalHeaderKey(name)
	switch key {
	case "Host":
		if u, err := parseURI(r.url.Scheme + "://" + value + "/"); err != nil || u.Host != value || origin(u) != origin(r.url) {
			return fmt.Errorf("the field Host is %.80q, and the URI says %.80q; leave it out: the platform sets it", value, r.url.Host)
		}
		return nil
	case "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Expect", "Http2-Settings":
		return fmt.Errorf("%s is about how the message is sent, which is the platform's; leave it out", key)
	case idempotencyKey:
		if r.header.Get(key) != "" {
			return fmt.Errorf("%s is there twice", key)
		}
		if value == "" {
			value = strconv.Quote(rand.Text())
		}
	}
	if strings.HasPrefix(key, "Proxy-") {
		return fmt.Errorf("%s is for proxies, which are the platform's; leave it out", key)
	}
	r.header.Add(key, value)
	return nil
}

// isToken reports whether a text is what methods and names of fields are.
func isToken(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '"', '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}':
			return false
		}
		if text[i] <= ' ' || text[i] >= 0x7F {
			return false
		}
	}
	return text != ""
}

// parseURI reads a URI that is sent exactly as it is written.
func parseURI(text string) (*url.URL, error) {
	const most = 64 << 10
	if len(text) > most {
		return nil, fmt.Errorf("the URI has %d bytes; the most is %d", len(text), most)
	}
	for i := range len(text) {
		if c := text[i]; !inURI(c) {
			return nil, fmt.Errorf("the URI %.80q has %q in it, which has to be written as %%%02X", shown(text), text[i:i+1], c)
		}
	}
	u, err := url.Parse(text)
	if err != nil && !strings.HasPrefix(text, schemeHTTP+"://") && !strings.HasPrefix(text, schemeHTTPS+"://") {
		return nil, fmt.Errorf("the URI %.80q does not begin with http:// or https://", shown(text))
	}
	if err != nil {
		return nil, fmt.Errorf("the URI %.80q can't be read", shown(text))
	}
	switch {
	case u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS || u.Opaque != "":
		return nil, fmt.Errorf("the URI %.80q does not begin with http:// or https://", shown(text))
	case strings.Contains(text, "#"):
		return nil, fmt.Errorf("the URI %.80q has a fragment, which is never sent; leave out what begins with #", shown(text))
	case u.User != nil:
		return nil, errors.New("the URI has credentials; they belong in the field Authorization")
	}
	if err := checkAuthority(u); err != nil {
		return nil, fmt.Errorf("the URI %.80q: %w", shown(text), err)
	}
	return u, nil
}

// inURI reports whether a character may be in a URI, and nobody writes it as another.
func inURI(c byte) bool {
	switch c {
	case '"', '<', '>', '\\', '^', '`', '{', '|', '}':
		return false
	}
	return c > ' ' && c < 0x7F
}

// shown is what of a URI, or of a line with one, may be told: what may be a secret is
// left out.
func shown(text string) string {
	if at := strings.IndexAny(text, "?#"); at >= 0 {
		text = text[:at] + "…"
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = "…" + text[at:]
	}
	return text
}

func checkAuthority(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return errors.New("an address with a zone means something on one machine only")
		}
	} else if _, err := egress.CheckHost(host); err != nil {
		return err
	}
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%.20q is not a port: a number from 1 to 65535", port)
	}
	return nil
}

// origin is what a URI has in common with all that may see its credentials. A name with
// a dot at its end is another one.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == schemeHTTPS {
			port = "443"
		}
	}
	host := strings.ToLower(u.Hostname())
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.String()
	}
	return u.Scheme + "://" + net.JoinHostPort(host, strings.TrimLeft(port, "0"))
}
