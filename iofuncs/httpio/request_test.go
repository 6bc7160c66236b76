package httpio

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRequest(t *testing.T) {
	r, err := parseRequest([]byte("POST http://a.example:80/x%2Fy/?q=1 HTTP/1.1\nHost: A.example\nX-A:1\nx-a: 2 \r\nEmpty:\n\r\nbody\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-A": {"1", "2"}, "Empty": {""}}
	if r.method != "POST" || r.url.String() != "http://a.example:80/x%2Fy/?q=1" || !maps.EqualFunc(r.header, want, slices.Equal) || string(r.body) != "body\n" {
		t.Errorf("%+v", r)
	}
	if r, err = parseRequest([]byte("PUT https://[::1]:8443 HTTP/2\r\nIdempotency-Key:\r\n\r\n")); err != nil || r.header.Get("Idempotency-Key") == "" || len(r.body) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, good := range []string{"http://a", "http://a/", "http://a?b", "http://a//b", "http://1.2.3.4:1/", "http://A.B.:80/;x=(1)'*", "https://xn--a/%00", "http://[fd00::1]/"} {
		if _, err := parseRequest([]byte("GET " + good + " HTTP/1.0\n\n")); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for text, want := range map[string]string{
		"":                                                                 "ends before",
		"GET http://a/ HTTP/1.1":                                           "ends before",
		"GET http://a/ HTTP/1.1\n":                                         "header field 1: the item ends",
		"GET http://a/ HTTP/1.1\nA:b\n":                                    "header field 2: the item ends",
		"GET http://a/ HTTP/1.1\nA:b":                                      "header field 1: the item ends",
		"\n":                                                               "not METHOD URI VERSION",
		"GET http://a/\n\n":                                                "not METHOD URI VERSION",
		"GET  http://a/ HTTP/1.1\n\n":                                      "not METHOD URI VERSION",
		"GET http://a/ HTTP/1.1 \n\n":                                      "not METHOD URI VERSION",
		" GET http://a/ HTTP/1.1\n\n":                                      "not METHOD URI VERSION",
		"GET\thttp://a/ HTTP/1.1 x\n\n":                                    "not a method",
		"G,T http://a/ HTTP/1.1\n\n":                                       "not a method",
		"CONNECT http://a/ HTTP/1.1\n\n":                                   "tunnel",
		"GET http://a/ HTTP/3\n\n":                                         "not a version",
		"GET http://a/ http/1.1\n\n":                                       "not a version",
		"GET http://a/ HTTP/1.1\r\r\n\n":                                   "not a version",
		"GET / HTTP/1.1\n\n":                                               "begin with http",
		"GET a.example HTTP/1.1\n\n":                                       "begin with http",
		"GET ftp://a/ HTTP/1.1\n\n":                                        "begin with http",
		"GET file:///etc/passwd HTTP/1.1\n\n":                              "begin with http",
		"GET http:a HTTP/1.1\n\n":                                          "begin with http",
		"GET http:// HTTP/1.1\n\n":                                         "not a name",
		"GET http:///x HTTP/1.1\n\n":                                       "not a name",
		"GET http://a:/ HTTP/1.1\n\n":                                      "not a port",
		"GET http://a:0/ HTTP/1.1\n\n":                                     "not a port",
		"GET http://a:65536/ HTTP/1.1\n\n":                                 "not a port",
		"GET http://a:b/ HTTP/1.1\n\n":                                     "can't be read",
		"GET http://u:p@a/ HTTP/1.1\n\n":                                   "Authorization",
		"GET http://a/#b HTTP/1.1\n\n":                                     "fragment",
		"GET http://a/b c HTTP/1.1\n\n":                                    "%20",
		"GET 127.0.0.1:28701/ HTTP/1.1\n\n":                                "begin with http",
		"GET http://a/# HTTP/1.1\n\n":                                      "fragment",
		"GET http://a/\x01 HTTP/1.1\n\n":                                   "%01",
		"GET http://a/\xC3\xA4 HTTP/1.1\n\n":                               "%C3",
		"GET http://a/<b> HTTP/1.1\n\n":                                    "%3C",
		"GET http://a/%zz HTTP/1.1\n\n":                                    "can't be read",
		"GET http://127.1/ HTTP/1.1\n\n":                                   "ends like an address",
		"GET http://0x7f000001/ HTTP/1.1\n\n":                              "ends like an address",
		"GET http://2130706433/ HTTP/1.1\n\n":                              "ends like an address",
		"GET http://a%2eb/ HTTP/1.1\n\n":                                   "can't be read",
		"GET http://[fe80::1%25a]/ HTTP/1.1\n\n":                           "zone",
		"GET http://[::1/ HTTP/1.1\n\n":                                    "can't be read",
		"GET http://a..b/ HTTP/1.1\n\n":                                    "not a name",
		"GET http://a/ HTTP/1.1\nab\n\n":                                   "not name:value",
		"GET http://a/ HTTP/1.1\n:b\n\n":                                   "not name:value",
		"GET http://a/ HTTP/1.1\na :b\n\n":                                 "not name:value",
		"GET http://a/ HTTP/1.1\nA:b\n c\n\n":                              "header field 2",
		"GET http://a/ HTTP/1.1\nA:b\x00c\n\n":                             "control",
		"GET http://a/ HTTP/1.1\nA:b\rc\n\n":                               "control",
		"GET http://a/ HTTP/1.1\nHost:b\n\n":                               "leave it out",
		"GET http://a/ HTTP/1.1\nHost:a:81\n\n":                            "leave it out",
		"GET http://a/ HTTP/1.1\nHost:\n\n":                                "leave it out",
		"GET http://a/ HTTP/1.1\nHost:a.\n\n":                              "leave it out",
		"GET http://a/ HTTP/1.1\nHost:a/x?y\n\n":                           "leave it out",
		"GET http://a/ HTTP/1.1\ncontent-length:3\n\nabc":                  "Content-Length",
		"GET http://a/ HTTP/1.1\nTransfer-Encoding:x\n\n":                  "Transfer-Encoding",
		"GET http://a/ HTTP/1.1\nConnection:close\n\n":                     "Connection",
		"GET http://a/ HTTP/1.1\nproxy-authorization:x\n\n":                "proxies",
		"GET http://a/ HTTP/1.1\nProxy-Foo:x\n\n":                          "proxies",
		"GET http://a/ HTTP/1.1\nUpgrade:websocket\n\n":                    "Upgrade",
		"POST http://a/ HTTP/1.1\nIdempotency-Key:\nIdempotency-Key:a\n\n": "twice",
		"GET http://a/" + strings.Repeat("a", 64<<10) + " HTTP/1.1\n\n":    "the most is",
		"GET " + strings.Repeat("a", maxHead):                              "longer than",
		"GET http://a/ HTTP/1.1\n" + strings.Repeat("a:b\n", 1001) + "\n":  "more than 1000",
		"GET http://a/ HTTP/1.1\n" + strings.Repeat("a:"+strings.Repeat("b", 100000)+"\n", 3) + "\n": "262144 bytes",
	} {
		if _, err := parseRequest([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
}

// What may be a secret in a URI is in no error.
func TestNoSecretsInErrors(t *testing.T) {
	for _, text := range []string{
		"ftp://u:s3cret@a/", "http://a/?s3cret|", "http://a/?s3cret#b", "http://127.1/?s3cret", "http://a:b/?s3cret", "http://u:s3cret@a/", "http://u:s3cret@a/|", "GET http://a/?s3cret", "GET http://a/?s3cret x HTTP/1.1\n\n", "GET  http://a/?s3cret HTTP/1.1\n\n", "http://a/?s3cret\n",
	} {
		for _, parse := range []func([]byte) (*request, error){parseRequest, parseGet} {
			if _, err := parse([]byte(text)); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func TestParseGet(t *testing.T) {
	for text, want := range map[string]string{
		"http://a.example/x": "", "GET http://a/ HTTP/1.1\n\n": "",
		"http://a/\n": "a line end follows the URI", "http://a/\r\n\n": "a line end follows the URI", "http://a/ b": "%20", "http://a/\nhttp://b/": "line end in the URI", "127.0.0.1:28701/": "begin with http", "localhost:1/": "begin with http", "POST http://a/ HTTP/1.1\n\n": "gets only", "": "begin with http", "a": "begin with http",
	} {
		r, err := parseGet([]byte(text))
		if want == "" && (err != nil || r.method != "GET") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// sameOnTheWire fails unless what is sent of a request is what the item says.
func sameOnTheWire(t interface{ Fatalf(string, ...any) }, item []byte, r *request) {
	uri := strings.Split(string(item), " ")[1]
	_, after, _ := strings.Cut(uri, "://")
	target := "/"
	if at := strings.IndexAny(after, "/?"); at >= 0 {
		target = strings.TrimSuffix("/", after[at:at+1]) + after[at:]
	}
	req := &http.Request{Method: r.method, URL: r.url, Host: r.url.Host, Header: r.header.Clone(), ContentLength: int64(len(r.body)), Body: io.NopCloser(bytes.NewReader(r.body))}
	if len(r.body) == 0 {
		req.Body = http.NoBody
	}
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		t.Fatalf("%q can't be sent: %v", item, err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("%q is sent as something else: %v", item, err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil || !bytes.Equal(body, r.body) || !bytes.HasSuffix(item, body) {
		t.Fatalf("%q is sent with the body %q (%v)", item, body, err)
	}
	if got.Method != r.method || got.RequestURI != target || !strings.EqualFold(got.Host, r.url.Host) {
		t.Fatalf("%q is sent as %s %s to %s", item, got.Method, got.RequestURI, got.Host)
	}
	got.Header.Del("Content-Length")
	got.Header.Del("Transfer-Encoding")
	if r.header["User-Agent"] == nil || r.header.Get("User-Agent") == "" {
		got.Header.Del("User-Agent")
	}
	if wire.Len() > 0 {
		t.Fatalf("%q is sent with %q behind it", item, &wire)
	}
	for name, values := range got.Header {
		sent := r.header[name]
		if name == "User-Agent" {
			sent = sent[:1] // one is all that is sent
		}
		if !slices.Equal(values, sent) {
			t.Fatalf("%q is sent with %s: %q", item, name, values)
		}
	}
}

func TestRequestsAreSentAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.SampledFrom([]string{"\n", "\r\n"})
		item := rapid.SampledFrom([]string{"GET", "POST", "DELETE", "x-own", "OPTIONS"}).Draw(t, "method") + " " +
			rapid.SampledFrom([]string{"http://a.example", "https://A.b:8443", "http://[::1]:80", "http://10.0.0.1"}).Draw(t, "host") +
			rapid.StringMatching(`((/([a-z~!$&'()*+,;=:@._-]|%2[Ff]|\[|\])*){0,3}(\?([a-z&=/?]|%00)*)?)`).Draw(t, "path") + " HTTP/1.1" + end.Draw(t, "end")
		for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
			item += rapid.StringMatching(`[A-Za-z!#$%&'*+.^_|~-]{1,8}`).Draw(t, "name") + "x" + strconv.Itoa(i) + ":" + rapid.StringMatching(`[ -~\t]{0,9}`).Draw(t, "value") + end.Draw(t, "end")
		}
		item += end.Draw(t, "end") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "body"))
		r, err := parseRequest([]byte(item))
		if err != nil {
			t.Fatalf("%q: %v", item, err)
		}
		sameOnTheWire(t, []byte(item), r)
	})
}

func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET http://a.example/ HTTP/1.1\n\n", "POST https://b:8443/x?y HTTP/2\r\nA: b\r\n\r\nbody", "http://a/", "GET http://a//b HTTP/1.1\nHost: a:80\n\n",
		"DELETE http://[::1]/%2F HTTP/1.0\nUser-Agent:\n\n\n\n", "PUT http://a?b HTTP/1.1\nIdempotency-Key:\n\nx",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		if r, err := parseRequest(item); err == nil {
			sameOnTheWire(t, item, r)
		}
		if r, err := parseGet(item); err == nil && (r.method != "GET" || r.url.Host == "") {
			t.Errorf("%q: %+v", item, r)
		}
	})
}
