package httpcache_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pappus/iofuncs/httpcache"
)

// step is one request, what the origin says if it is asked, and what is to come.
type step struct {
	wait   int // seconds before it
	method string
	path   string
	send   string // lines of the request
	tenant string

	status int    // of the origin
	reply  string // lines of its answer
	down   bool   // it can't be reached
	body   string // of its answer; empty: how often it was asked
	delay  int    // seconds until it answers

	want  string // what the cache did
	code  int    // status of the answer; 0: 200
	gives string // body of the answer; empty: the first answer's for what the cache gave, else the origin's
	age   string // value of Age; empty: any
	has   string // lines that the answer has
	lacks string // fields that it has not
	seen  string // lines that the origin was sent
	free  string // fields that it was not sent
	quiet bool   // it was not asked, whatever the cache did
}

const (
	stored = "miss stored"
	valid  = "stale 304 stored"
)

// twice are cases of the commonest form: an answer is fetched; some seconds later
// another request comes.
var twice = []struct {
	name  string
	reply string
	wait  int
	want  string
}{
	// Freshness.
	{"nothing said", "", 0, "miss"},
	{"max-age", "Cache-Control: max-age=60", 59, "hit"},
	{"max-age is over", "Cache-Control: max-age=60\nEtag: \"a\"", 60, "stale stored"},
	{"max-age of zero", "Cache-Control: max-age=0\nEtag: \"a\"", 0, "stale stored"},
	{"max-age, not validated", "Cache-Control: max-age=60", 60, "stale stored"},
	{"a very long max-age", "Cache-Control: max-age=99999999999999999999", 86400 * 365, "hit"},
	{"2³¹", "Cache-Control: max-age=2147483648", 100, "hit"},
	{"max-age in capitals", "Cache-Control: MaX-aGe=60", 59, "hit"},
	{"max-age before Expires", "Cache-Control: max-age=60\nExpires: @-60", 59, "hit"},
	{"no max-age after Expires", "Cache-Control: max-age=0\nExpires: @60\nEtag: \"a\"", 0, "stale stored"},
	{"s-maxage is for shared caches", "Cache-Control: max-age=60, s-maxage=0", 59, "hit"},
	{"only s-maxage", "Cache-Control: s-maxage=60", 0, "miss"},
	{"Expires", "Expires: @60", 59, "hit"},
	{"Expires is over", "Expires: @60\nEtag: \"a\"", 60, "stale stored"},
	{"Expires in the past", "Expires: @-60", 0, "miss"},
	{"Expires against Date", "Date: @-100\nExpires: @-40\nEtag: \"a\"", 0, "stale stored"},
	{"Expires against a Date to come", "Date: @1000\nExpires: @1060", 59, "hit"},
	{"Expires without Date", "Date: none\nExpires: @60", 59, "hit"},
	{"Expires with another Date that can't be read", "Date: yesterday\nExpires: @60", 59, "hit"},
	{"Expires is zero", "Expires: 0\nLast-Modified: @-100000", 1, "stale stored"},
	{"Expires twice, the same", "Expires: @60\nExpires: @60", 59, "hit"},
	{"Expires twice", "Expires: @60\nExpires: @6000\nEtag: \"a\"", 1, "stale stored"},
	{"Expires of RFC 850", "Expires: Thursday, 18-Aug-50 02:01:18 GMT", 1, "hit"},
	{"Expires of C", "Expires: Thu Aug 18 02:01:18 2050", 1, "hit"},
	{"Expires in another zone", "Expires: Thu, 18 Aug 2050 02:01:18 AEST", 0, "miss"},
	{"Expires without a comma", "Expires: Thu 18 Aug 2050 02:01:18 GMT", 0, "miss"},
	{"Expires with points", "Expires: Thu, 18 Aug 2050 02.01.18 GMT", 0, "miss"},
	{"Expires in 9999", "Expires: Fri, 31 Dec 9999 23:59:59 GMT", 100, "hit"},

	// Age.
	{"Age", "Cache-Control: max-age=60\nAge: 30", 29, "hit"},
	{"Age takes from it", "Cache-Control: max-age=60\nAge: 30\nEtag: \"a\"", 30, "stale stored"},
	{"too old at once", "Cache-Control: max-age=60\nAge: 60", 0, "miss"},
	{"Age and Expires", "Expires: @60\nAge: 30", 29, "hit"},
	{"Age that is no number", "Cache-Control: max-age=60\nAge: abc", 59, "hit"},
	{"Age below zero", "Cache-Control: max-age=60\nAge: -100", 59, "hit"},
	{"Age with a fraction", "Cache-Control: max-age=60\nAge: 100.0", 59, "hit"},
	{"the first Age counts, same line", "Cache-Control: max-age=60\nAge: 0, 100", 59, "hit"},
	{"the first Age counts, other line", "Cache-Control: max-age=60\nAge: 100\nAge: 0", 0, "miss"},
	{"Age beyond 2³¹", "Cache-Control: max-age=60\nAge: 4294967297", 0, "miss"},
	{"Date counts as Age", "Cache-Control: max-age=60\nDate: @-60", 0, "miss"},
	{"Date to come", "Cache-Control: max-age=60\nDate: @60", 59, "hit"},

	// Heuristics.
	{"a tenth since it was changed", "Last-Modified: @-1000", 99, "hit"},
	{"more than a tenth", "Last-Modified: @-1000", 100, "stale stored"},
	{"a day at most", "Last-Modified: @-100000000", 86399, "hit"},
	{"more than a day", "Last-Modified: @-100000000", 86400, "stale stored"},
	{"changed in the future", "Last-Modified: @1000", 0, "stale stored"},
	{"changed at a time that can't be read", "Last-Modified: long ago", 0, "stale stored"},
	{"an invalid max-age is no heuristic", "Cache-Control: max-age=x\nLast-Modified: @-100000", 0, "stale stored"},

	// How Cache-Control is read.
	{"two of max-age, same line", "Cache-Control: max-age=6000, max-age=60\nEtag: \"a\"", 60, "stale stored"},
	{"two of max-age, two lines", "Cache-Control: max-age=60\nCache-Control: max-age=6000\nEtag: \"a\"", 60, "stale stored"},
	{"quotes around a number", "Cache-Control: max-age=\"60\"", 59, "hit"},
	{"single quotes", "Cache-Control: max-age='60'", 0, "miss"},
	{"zeros before it", "Cache-Control: max-age=0060", 59, "hit"},
	{"a space before =", "Cache-Control: max-age =60", 0, "miss"},
	{"a space after =", "Cache-Control: max-age= 60", 0, "miss"},
	{"a fraction", "Cache-Control: max-age=60.0", 0, "miss"},
	{"letters", "Cache-Control: max-age=60a", 0, "miss"},
	{"below zero", "Cache-Control: max-age=-60", 0, "miss"},
	{"nothing", "Cache-Control: max-age=", 0, "miss"},
	{"no value", "Cache-Control: max-age", 0, "miss"},
	{"in the quotes of another", "Cache-Control: extension=\"max-age=6000\", max-age=60\nEtag: \"a\"", 60, "stale stored"},
	{"in the quotes of another, behind", "Cache-Control: max-age=60, extension=\"max-age=6000\"", 59, "hit"},
	{"commas and spaces", "Cache-Control: , ,max-age=60 ,\t, foo", 59, "hit"},
	{"unknown directives", "Cache-Control: foo=bar, baz, max-age=60", 59, "hit"},
	{"a quote that is not closed", "Cache-Control: max-age=60, foo=\"bar, no-store", 0, "miss"},
	{"a quote in a strange place", "Cache-Control: max-age=60, foo=b\"ar", 0, "miss"},

	// What forbids or allows to keep it.
	{"no-store", "Cache-Control: max-age=60, no-store", 0, "miss"},
	{"no-store in capitals", "Cache-Control: max-age=60, No-StORE", 0, "miss"},
	{"no-store on a line of its own", "Cache-Control: max-age=60\nCache-Control: no-store", 0, "miss"},
	{"no-store with a value", "Cache-Control: max-age=60, no-store=x", 0, "miss"},
	{"private", "Cache-Control: max-age=60, private", 59, "hit"},
	{"private for a field", "Cache-Control: max-age=60, private=\"set-cookie\"", 59, "hit"},
	{"Set-Cookie", "Cache-Control: max-age=60\nSet-Cookie: a=b", 59, "hit"},
	{"no-cache without a validator", "Cache-Control: max-age=60, no-cache", 0, "miss"},
	{"no-cache", "Cache-Control: max-age=60, no-cache\nEtag: \"a\"", 0, "stale stored"},
	{"no-cache of nothing", "Cache-Control: max-age=60, no-cache=\"\"\nEtag: \"a\"", 0, "stale stored"},
	{"no-cache of what the cache needs", "Cache-Control: max-age=60, no-cache=\"age\"\nEtag: \"a\"", 0, "stale stored"},
	{"no-cache of a field", "Cache-Control: max-age=60, no-cache=\"foo\"", 59, "hit"},
	{"must-revalidate", "Cache-Control: max-age=60, must-revalidate\nEtag: \"a\"", 59, "hit"},
	{"proxy-revalidate is for shared caches", "Cache-Control: max-age=60, proxy-revalidate", 59, "hit"},
	{"must-understand", "Cache-Control: max-age=60, must-understand", 59, "hit"},
	{"must-understand and no-store", "Cache-Control: max-age=60, must-understand, no-store", 0, "miss"},
	{"Pragma in an answer", "Cache-Control: max-age=60\nPragma: no-cache", 59, "hit"},
	{"Vary by names that are too long", "Cache-Control: max-age=60\nVary: " + strings.Repeat("a", 256) + "\nVary: " + strings.Repeat("b", 257), 0, "miss"},
	{"Vary: *", "Cache-Control: max-age=60\nVary: *", 0, "miss"},
	{"Vary: * in a list", "Cache-Control: max-age=60\nVary: foo, *", 0, "miss"},
	{"Vary: * behind nothing", "Cache-Control: max-age=60\nVary: \nVary: , *", 0, "miss"},
	{"Vary that can't be read", "Cache-Control: max-age=60\nVary: foo bar", 0, "miss"},
	{"Vary of nothing", "Cache-Control: max-age=60\nVary: ,", 59, "hit"},
	{"CDN-Cache-Control is not ours", "Cache-Control: max-age=60\nCDN-Cache-Control: max-age=0", 59, "hit"},
	{"Surrogate-Control is not ours", "Surrogate-Control: max-age=60", 0, "miss"},
	{"attachments", "Cache-Control: max-age=60\nContent-Disposition: attachment", 59, "hit"},
}

func TestTwice(t *testing.T) {
	for _, c := range twice {
		t.Run(c.name, func(t *testing.T) {
			first := stored
			if c.want == "miss" {
				first = "miss"
			}
			steps := []step{{reply: c.reply, want: first}, {wait: c.wait, reply: c.reply, want: c.want}}
			follow(t, httpcache.Options{}, steps)
		})
	}
}

// statuses that may be kept without being told, and others.
func TestStatuses(t *testing.T) {
	heuristic := map[int]bool{200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true, 410: true, 414: true, 501: true}
	for _, status := range []int{200, 201, 202, 203, 204, 205, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 451, 499, 500, 501, 502, 503, 504, 599} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			body, gives := "", ""
			told := []step{
				{status: status, reply: "Cache-Control: max-age=60", want: stored, code: status, body: body, gives: gives},
				{wait: 59, want: "hit", code: status},
			}
			follow(t, httpcache.Options{}, told)
			untold := []step{{status: status, reply: "Last-Modified: @-1000", code: status, want: "miss"}, {wait: 1, code: status, status: status, want: "miss"}}
			if heuristic[status] {
				untold[0].want, untold[1].want = stored, "hit"
			}
			follow(t, httpcache.Options{}, untold)
		})
	}
	follow(t, httpcache.Options{}, []step{
		{status: 206, reply: "Cache-Control: max-age=60\nContent-Range: bytes 0-0/2", code: 206, want: "miss"},
		{want: "miss"},
	})
	follow(t, httpcache.Options{}, []step{
		{status: 599, reply: "Cache-Control: max-age=60, must-understand", code: 599, want: "miss"},
		{status: 302, path: "/b", reply: "Cache-Control: public\nLast-Modified: @-1000", code: 302, want: stored},
		{path: "/b", wait: 99, code: 302, want: "hit", gives: "2"},
	})
}

var fresh = step{reply: "Cache-Control: max-age=60", want: stored}
var stale = step{reply: "Cache-Control: max-age=60\nEtag: \"a\"\nLast-Modified: @-1000", want: stored}

var sequences = []struct {
	name  string
	steps []step
}{
	// Requests.
	{"max-age of a request", []step{fresh,
		{wait: 30, send: "Cache-Control: max-age=30", want: "hit", age: "30"},
		{wait: 1, send: "Cache-Control: max-age=30", reply: "Cache-Control: max-age=60", want: "request stored"},
		{send: "Cache-Control: max-age=0", want: "hit", gives: "2"},
		{send: "Cache-Control: max-age=x", wait: 1, want: "request"}}},
	{"max-age of a request counts Age", []step{{reply: "Cache-Control: max-age=60\nAge: 30", want: stored},
		{send: "Cache-Control: max-age=20", want: "request"}}},
	{"min-fresh", []step{fresh,
		{wait: 20, send: "Cache-Control: min-fresh=40", want: "hit"},
		{send: "Cache-Control: min-fresh=41", want: "request"}}},
	{"max-stale", []step{stale,
		{wait: 70, send: "Cache-Control: max-stale=10", want: "hit MAX-STALE", age: "70"},
		{send: "Cache-Control: max-stale", want: "hit MAX-STALE"},
		{wait: 1, send: "Cache-Control: max-stale=10", status: 304, want: valid}}},
	{"max-stale with a value that can't be read", []step{stale, {wait: 70, send: "Cache-Control: max-stale=x", status: 304, want: valid}}},
	{"max-stale, but it must be validated", []step{{reply: "Cache-Control: max-age=60, must-revalidate\nEtag: \"a\"", want: stored},
		{wait: 70, send: "Cache-Control: max-stale", status: 304, want: valid}}},
	{"no-cache of a request", []step{stale, {send: "Cache-Control: no-cache", status: 304, want: "request 304 stored", seen: "If-None-Match: \"a\""}, {want: "hit"}}},
	{"Pragma", []step{fresh, {send: "Pragma: foo, no-cache", want: "request"}}},
	{"Cache-Control before Pragma", []step{fresh, {send: "Cache-Control: foo\nPragma: no-cache", want: "hit"}}},
	{"no-store of a request", []step{{send: "Cache-Control: no-store", reply: "Cache-Control: max-age=60", want: "bypass"}, {want: "miss"}}},
	{"no-store of a request leaves what is there", []step{fresh, {send: "Cache-Control: no-store", want: "bypass"}, {want: "hit"}}},
	{"only-if-cached", []step{
		{send: "Cache-Control: only-if-cached", want: "ONLY-IF-CACHED", code: 504, gives: "-"}, fresh,
		{send: "Cache-Control: only-if-cached", want: "hit"},
		{wait: 60, send: "Cache-Control: only-if-cached", want: "ONLY-IF-CACHED", code: 504, gives: "-"},
		{send: "Cache-Control: only-if-cached, max-stale", want: "hit MAX-STALE"}}},
	{"a request that can't be read", []step{fresh, {send: "Cache-Control: foo=\"", want: "bypass"}}},

	// Keys.
	{"tenants share nothing", []step{fresh, {tenant: "other", want: "miss"}, {want: "hit"}}},
	{"queries", []step{{path: "/?a", reply: "Cache-Control: max-age=60", want: stored}, {path: "/?b", want: "miss"}, {path: "/", want: "miss"}, {path: "/?", want: "miss"}, {path: "/?a", want: "hit"}}},
	{"the same URL in other words", []step{{path: "/", reply: "Cache-Control: max-age=60", want: stored},
		{path: "HTTP://Example.COM:80", want: "hit"}, {path: "http://example.com#x", want: "hit"}, {path: "https://example.com/", want: "miss"}, {path: "http://example.com:8080/", want: "miss"}}},
	{"credentials", []step{{send: "Authorization: a", reply: "Cache-Control: max-age=60", want: stored},
		{want: "miss"}, {send: "Authorization: b", want: "miss"}, {send: "Authorization: a", want: "hit"}}},
	{"cookies", []step{{send: "Cookie: a", reply: "Cache-Control: max-age=60", want: stored},
		{want: "miss"}, {send: "Cookie: b", want: "miss"}, {send: "Cookie: a", want: "hit"}}},
	{"user in the URL", []step{{path: "http://a@example.com/", reply: "Cache-Control: max-age=60", want: stored},
		{path: "http://b@example.com/", want: "miss"}, {path: "http://a@example.com/", want: "hit"}}},

	// Vary.
	{"several variants", []step{
		{send: "Foo: 1", reply: "Cache-Control: max-age=60\nVary: Foo", want: stored},
		{send: "Foo: 2", reply: "Cache-Control: max-age=60\nVary: fOO", want: stored},
		{send: "Foo: 1", want: "hit", gives: "1"}, {send: "Foo: 2", want: "hit", gives: "2"}, {send: "Foo: 3", want: "miss"}, {want: "miss"},
		{send: "Foo: 1\nBar: 1", want: "hit", gives: "1"}}},
	{"varies by several fields", []step{
		{send: "Foo: 1\nBar: abc", reply: "Cache-Control: max-age=60\nVary: Foo, Bar\nVary: Baz", want: stored},
		{send: "Bar: abc\nFoo: 1", want: "hit"}, {send: "Foo: 1", want: "miss"}, {send: "Foo: 1\nBar: abcd", want: "miss"},
		{send: "Foo: 1\nBar: abc\nBaz: ", want: "miss"}, {send: "Foo: abc\nBar: 1", want: "miss"}}},
	{"a field of several lines is one", []step{
		{send: "Foo: 1\nFoo: 2", reply: "Cache-Control: max-age=60\nVary: Foo", want: stored},
		{send: "Foo:  1, 2 ", want: "hit"}, {send: "Foo: 2\nFoo: 1", want: "miss"}}},
	{"the last of several that fit", []step{
		{send: "Foo: 1", reply: "Cache-Control: max-age=60\nVary: Foo", want: stored},
		{send: "Foo: 1\nCache-Control: no-cache", reply: "Cache-Control: max-age=60", want: "request stored"},
		{send: "Foo: 1", want: "hit", gives: "2"}, {send: "Foo: 2", want: "hit", gives: "2"}}},
	{"validated as the variant that it is", []step{
		{send: "Foo: 1", reply: "Cache-Control: max-age=60\nVary: Foo\nEtag: \"1\"", want: stored},
		{send: "Foo: 2", reply: "Cache-Control: max-age=60\nVary: Foo\nEtag: \"2\"", want: stored, free: "If-None-Match"},
		{wait: 60, send: "Foo: 1", status: 304, reply: "Etag: \"1\"", want: valid, seen: "If-None-Match: \"1\"\nFoo: 1"},
		{send: "Foo: 2", status: 304, reply: "Etag: \"2\"", want: valid, seen: "If-None-Match: \"2\"", gives: "2"}}},

	// Validation.
	{"by tag and date", []step{stale, {wait: 60, status: 304, reply: "Cache-Control: max-age=100\nEtag: \"a\"", want: valid,
		seen: "If-None-Match: \"a\"", age: "0"}, {wait: 99, want: "hit", age: "99"}}},
	{"by a weak tag", []step{{reply: "Cache-Control: max-age=1\nEtag: W/\"a\"", want: stored},
		{wait: 1, status: 304, reply: "Etag: W/\"a\"", want: valid, seen: "If-None-Match: W/\"a\"", free: "If-Modified-Since"}}},
	{"by date", []step{{reply: "Cache-Control: max-age=1\nLast-Modified: Mon, 03 Jan 2000 00:00:00 GMT", want: stored},
		{wait: 1, status: 304, want: valid, seen: "If-Modified-Since: Mon, 03 Jan 2000 00:00:00 GMT", free: "If-None-Match"}}},
	{"changed", []step{stale, {wait: 60, reply: "Cache-Control: max-age=60\nEtag: \"b\"", want: "stale stored"}, {wait: 1, want: "hit", gives: "2", has: "Etag: \"b\""}}},
	{"changed, and not to be kept", []step{stale, {wait: 60, reply: "Cache-Control: no-store", want: "stale"}, {want: "miss", free: "If-None-Match"}}},
	{"a 304 about something else", []step{stale, {wait: 60, status: 304, reply: "Etag: \"b\"", want: "miss stored", gives: "3", free: "If-None-Match"}}},
	{"without a validator", []step{fresh, {wait: 60, want: "stale", free: "If-None-Match\nIf-Modified-Since"}}},
	{"Age of a validated answer", []step{{reply: "Cache-Control: max-age=60\nAge: 50\nEtag: \"a\"", want: stored},
		{wait: 10, status: 304, want: valid, age: "0"}, {wait: 59, want: "hit", age: "59"}}},
	{"a 304 with Age", []step{stale, {wait: 60, status: 304, reply: "Age: 20", want: valid, age: "20"}, {wait: 39, want: "hit", age: "59"}, {wait: 1, status: 304, want: valid}}},
	{"a 304 brings fields", []step{
		{reply: "Cache-Control: max-age=60\nEtag: \"a\"\nFoo: 1\nBar: 1\nContent-Type: text/a\nContent-Encoding: x\nSet-Cookie: a=1", want: stored},
		{wait: 60, status: 304, reply: "Etag: \"a\"\nFoo: 2\nFoo: 3\nContent-Type: text/b\nContent-Encoding: y\nContent-Length: 9\nContent-Range: z\nConnection: Quux\nQuux: 1\nSet-Cookie: a=2",
			want: valid, has: "Foo: 2\nFoo: 3\nBar: 1\nContent-Type: text/b\nContent-Encoding: x\nSet-Cookie: a=2\nContent-Length: 1", lacks: "Quux\nConnection\nContent-Range"},
		{wait: 59, want: "hit", has: "Foo: 2\nFoo: 3\nBar: 1\nContent-Encoding: x\nEtag: \"a\"\nContent-Length: 1", lacks: "Quux"}}},
	{"a 304 that forbids to keep it", []step{stale, {wait: 60, status: 304, reply: "Cache-Control: no-store", want: "stale 304"}, {want: "miss", free: "If-None-Match"}}},

	// Conditions of the request.
	{"If-None-Match that matches", []step{stale,
		{send: "If-None-Match: \"x,\", \"a\"", want: "hit", code: 304, gives: "-", has: "Etag: \"a\"", lacks: "Content-Length"},
		{send: "If-None-Match: W/\"a\"", want: "hit", code: 304, gives: "-"}, {send: "If-None-Match: *", want: "hit", code: 304, gives: "-"},
		{send: "If-None-Match: \"b\"", want: "hit"}, {send: "If-None-Match: a", want: "hit"}, {send: "If-None-Match: \"x,\"a\",\"", want: "hit"},
		{send: "If-None-Match: \"b\"\nIf-Modified-Since: @0", want: "hit"}}},
	{"If-Modified-Since", []step{stale, {send: "If-Modified-Since: @-1000", want: "hit", code: 304, gives: "-"},
		{send: "If-Modified-Since: @-1001", want: "hit"}, {send: "If-Modified-Since: x", want: "hit"}}},
	{"conditions go on", []step{
		{send: "If-None-Match: \"a\"", status: 304, reply: "Etag: \"a\"", want: "miss", code: 304, gives: "-", seen: "If-None-Match: \"a\""}, {want: "miss", free: "If-None-Match"}}},
	{"conditions of a request for something stale", []step{stale,
		{wait: 60, send: "If-None-Match: \"a\"", status: 304, reply: "Etag: \"a\"", want: "stale stored", code: 304, gives: "-", free: "If-Modified-Since"}, {wait: 59, want: "hit"}}},
	{"a 304 that says nothing of what is kept", []step{stale,
		{wait: 60, send: "If-None-Match: \"b\"", status: 304, want: "stale", code: 304, gives: "-"}, {want: "miss"}}},

	// Fields.
	{"fields of the connection are not kept", []step{
		{reply: "Cache-Control: max-age=60\nConnection: a, close\nA: 1\nB: 1\nKeep-Alive: x\nProxy-Authenticate: x\nUpgrade: x\nTe: x\nProxy-Connection: x\nTrailer: x", want: stored, has: "A: 1"},
		{want: "hit", has: "B: 1", lacks: "A\nConnection\nKeep-Alive\nProxy-Authenticate\nUpgrade\nTe\nProxy-Connection\nTrailer"}}},
	{"fields of no-cache are not kept", []step{
		{reply: "Cache-Control: max-age=60, no-cache=\"a, b\"\nA: 1\nB: 1\nC: 1", want: stored, has: "A: 1"},
		{want: "hit", has: "C: 1", lacks: "A\nB"}}},
	{"Age and Date", []step{{reply: "Cache-Control: max-age=60\nDate: Sat, 01 Jan 2000 00:00:00 GMT\nAge: 30", want: stored, age: "30"},
		{wait: 3, want: "hit", age: "33", has: "Date: Sat, 01 Jan 2000 00:00:00 GMT"}}},
	{"Date is added", []step{{reply: "Cache-Control: max-age=60\nDate: none", want: stored}, {wait: 10, want: "hit", has: "Date: Sat, 01 Jan 2000 00:00:00 GMT"}}},
	{"the way counts", []step{{reply: "Cache-Control: max-age=60\nAge: 1\nDate: @5", delay: 5, want: stored}, {wait: 4, want: "hit", age: "10"}}},
	{"another cache's status", []step{{reply: "Cache-Control: max-age=60\nCache-Status: pappus; hit", want: stored}, {want: "hit", has: "Cache-Status: pappus; hit\nCache-Status: pappus; hit; ttl=60"}}},

	// Methods.
	{"POST", append([]step{fresh, {method: "POST", reply: "Cache-Control: max-age=60", want: "method"}}, fresh)},
	{"PUT", append([]step{fresh, {method: "PUT", status: 204, code: 204, want: "method"}}, fresh)},
	{"DELETE", append([]step{fresh, {method: "DELETE", status: 303, code: 303, want: "method"}}, fresh)},
	{"a method nobody knows", append([]step{fresh, {method: "FOO", want: "method"}}, fresh)},
	{"POST that fails", []step{fresh, {method: "POST", status: 500, code: 500, want: "method"}, {method: "POST", status: 404, code: 404, want: "method"}, {want: "hit"}}},
	{"POST that nobody answers", append([]step{fresh, {method: "POST", down: true}}, fresh)},
	{"POST of another tenant", []step{fresh, {method: "POST", tenant: "other", want: "method"}, {want: "hit"}}},
	{"POST of others' variants", []step{{send: "Authorization: a", reply: "Cache-Control: max-age=60\nVary: foo", want: stored},
		{method: "POST", want: "method"}, {send: "Authorization: a", want: "miss"}}},
	{"Location", []step{{path: "/x", reply: "Cache-Control: max-age=60", want: stored}, {path: "/y", reply: "Cache-Control: max-age=60", want: stored}, {path: "http://other.com/x", reply: "Cache-Control: max-age=60", want: stored},
		{method: "POST", path: "/a/b", status: 201, code: 201, reply: "Location: ../x\nContent-Location: http://EXAMPLE.com:80/y\nLocation: http://other.com/x\nLocation: :%", want: "method"},
		{path: "/x", want: "miss"}, {path: "/y", want: "miss"}, {path: "http://other.com/x", want: "hit", gives: "3"}}},
	{"Location that leads away", []step{{path: "https://example.com/x", reply: "Cache-Control: max-age=60", want: stored},
		{method: "POST", reply: "Location: https://example.com/x", want: "method"}, {path: "https://example.com/x", want: "hit"}}},
	{"OPTIONS changes nothing", []step{fresh, {method: "OPTIONS", want: "method"}, {method: "TRACE", want: "method"}, {want: "hit"}}},
	{"answers to POST are not kept", []step{{method: "POST", reply: "Cache-Control: max-age=60", want: "method"}, {want: "miss"}}},

	// HEAD.
	{"HEAD of what is kept", []step{fresh, {method: "HEAD", want: "hit", gives: "-", has: "Content-Length: 1"}}},
	{"HEAD is not kept", []step{{method: "HEAD", reply: "Cache-Control: max-age=60", want: "miss", gives: "-"}, {want: "miss"}}},
	{"HEAD brings fields", []step{stale, {wait: 60, method: "HEAD", reply: "Cache-Control: max-age=60\nEtag: \"a\"\nFoo: 1", want: "stale", gives: "-", free: "If-None-Match"}, {want: "hit", has: "Foo: 1"}}},
	{"HEAD of something else", []step{stale, {wait: 60, method: "HEAD", reply: "Cache-Control: max-age=60\nEtag: \"b\"", want: "stale", gives: "-"}, {want: "miss", free: "If-None-Match"}}},
	{"HEAD of another length", []step{stale, {wait: 60, method: "HEAD", reply: "Cache-Control: max-age=60", body: "longer", want: "stale", gives: "-"}, {want: "miss"}}},
	{"HEAD of what is gone", []step{stale, {wait: 60, method: "HEAD", status: 410, code: 410, want: "stale", gives: "-"}, {want: "miss"}}},
	{"HEAD that fails", []step{stale, {wait: 60, method: "HEAD", status: 503, code: 503, want: "stale", gives: "-"}, {status: 304, want: valid}}},

	// Ranges.
	{"ranges go on", []step{fresh, {send: "Range: bytes=0-0", status: 206, reply: "Cache-Control: max-age=60\nContent-Range: bytes 0-0/1", code: 206, want: "bypass", seen: "Range: bytes=0-0"}, {want: "hit"}}},
	{"an answer to a range is not kept", []step{{send: "Range: bytes=0-0", reply: "Cache-Control: max-age=60", want: "bypass"}, {want: "miss"}}},
	{"If-Match goes on", []step{fresh, {send: "If-Match: \"b\"", status: 412, code: 412, want: "bypass"}, {want: "hit"}}},
	{"Upgrade goes on", []step{fresh, {send: "Upgrade: h2c", want: "bypass"}}},

	// Stale.
	{"nothing stale without being told", []step{stale, {wait: 60, status: 503, code: 503, want: "stale"}, {down: true}, {status: 304, want: valid}}},
	{"stale-if-error", []step{{reply: "Cache-Control: max-age=60, stale-if-error=30\nEtag: \"a\"", want: stored},
		{wait: 90, status: 503, want: "stale 503 STALE-IF-ERROR", age: "90"}, {down: true, want: "stale STALE-IF-ERROR"}, {status: 404, code: 404, want: "stale"}}},
	{"stale-if-error is over", []step{{reply: "Cache-Control: max-age=60, stale-if-error=30", want: stored}, {wait: 91, status: 500, code: 500, want: "stale"}, {down: true}}},
	{"stale-if-error of the request", []step{stale, {wait: 90, send: "Cache-Control: stale-if-error=30", down: true, want: "stale STALE-IF-ERROR"},
		{send: "Cache-Control: stale-if-error=29", down: true}}},
	{"stale-if-error, but it must be validated", []step{{reply: "Cache-Control: max-age=60, stale-if-error=30, must-revalidate\nEtag: \"a\"", want: stored}, {wait: 60, down: true}}},
	{"stale-if-error, but no-cache", []step{{reply: "Cache-Control: max-age=60, stale-if-error=30, no-cache\nEtag: \"a\"", want: stored}, {down: true}, {status: 502, code: 502, want: "stale"}}},
	{"stale-if-error, but the request wants it fresh", []step{{reply: "Cache-Control: max-age=60, stale-if-error=30", want: stored},
		{wait: 60, send: "Cache-Control: no-cache", down: true}, {send: "Cache-Control: max-age=59", down: true}, {send: "Cache-Control: min-fresh=1", down: true}}},
	{"an error is not kept in place of it", []step{{reply: "Cache-Control: max-age=60, stale-if-error=300\nEtag: \"a\"", want: stored},
		{wait: 60, status: 500, reply: "Cache-Control: max-age=60", want: "stale 500 STALE-IF-ERROR"}}},
	{"stale-while-revalidate", []step{{reply: "Cache-Control: max-age=60, stale-while-revalidate=30\nEtag: \"a\"", want: stored},
		{wait: 90, status: 304, want: "hit STALE-WHILE-REVALIDATE", age: "90"}, {wait: 1, want: "hit", age: "1", seen: "If-None-Match: \"a\""}}},
	{"stale-while-revalidate, and it has changed", []step{{reply: "Cache-Control: max-age=60, stale-while-revalidate=30", want: stored},
		{wait: 60, reply: "Cache-Control: max-age=60", want: "hit STALE-WHILE-REVALIDATE"}, {wait: 1, want: "hit", gives: "2"}}},
	{"stale-while-revalidate, and the origin is down", []step{{reply: "Cache-Control: max-age=60, stale-while-revalidate=30", want: stored},
		{wait: 60, down: true, want: "hit STALE-WHILE-REVALIDATE"}, {wait: 1, down: true, want: "hit STALE-WHILE-REVALIDATE", age: "61"}, {wait: 30, want: "stale"}}},
	{"stale-while-revalidate, but the origin is not to be asked", []step{{reply: "Cache-Control: max-age=60, stale-while-revalidate=30", want: stored},
		{wait: 60, send: "Cache-Control: only-if-cached", quiet: true, want: "hit STALE-WHILE-REVALIDATE"}}},
	{"stale-while-revalidate, but it must be validated", []step{{reply: "Cache-Control: max-age=60, stale-while-revalidate=30, must-revalidate\nEtag: \"a\"", want: stored}, {wait: 60, status: 304, want: valid}}},
}

func TestSequences(t *testing.T) {
	for _, c := range sequences {
		t.Run(c.name, func(t *testing.T) {
			follow(t, httpcache.Options{}, c.steps)
		})
	}
}

// follow makes the requests of the steps.
func follow(t *testing.T, o httpcache.Options, steps []step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, o)
		defer closing(t, s)
		var now step
		asked, before := 0, 0
		var seen http.Header
		next := origin(func(req *http.Request) (*http.Response, error) {
			asked++
			seen = req.Header.Clone()
			if now.delay > 0 {
				wait(time.Duration(now.delay) * time.Second)
			}
			if now.down {
				return nil, errors.New("the origin is down")
			}
			body := now.body
			if body == "" {
				body = strconv.Itoa(asked)
			}
			if status := now.status; asked == before+1 {
				return answer(req, status, now.reply, body), nil
			}
			return answer(req, http.StatusOK, now.reply, body), nil // it was asked again
		})
		for i, st := range steps {
			wait(time.Duration(st.wait) * time.Second)
			now = st
			method, url := st.method, st.path
			if method == "" {
				method = http.MethodGet
			}
			if !strings.Contains(url, "://") {
				url = "http://example.com" + url
			}
			before = asked
			g, err := try(httpcache.New(next, s, "tenant"+st.tenant), request(t, method, url, st.send))
			synctest.Wait() // what goes on without us
			if st.want == "" {
				must(t, err != nil, "step %d: the origin is down, and there is an answer", i+1)
				continue
			}
			if err != nil {
				t.Fatalf("step %d: %v", i+1, err)
			}
			check(t, i+1, &st, g, asked, asked > before, seen)
		}
		if entries := s.Stats().Flights; entries != 0 {
			t.Errorf("%d flights are left", entries)
		}
	})
}

func check(t *testing.T, n int, st *step, g got, asked int, now bool, seen http.Header) {
	t.Helper()
	must(t, g.what() == st.want, "step %d: %q, want %q", n, g.what(), st.want)
	quiet := st.quiet || g.said.Hit && g.said.Detail != httpcache.DetailRevalidating || g.said.Detail == httpcache.DetailOnlyIfCached
	must(t, quiet != now, "step %d: the origin was asked: %t", n, now)
	must(t, st.code == 0 && g.StatusCode == http.StatusOK || g.StatusCode == st.code, "step %d: status %d", n, g.StatusCode)
	gives := st.gives
	switch {
	case gives == "-":
		gives = ""
	case gives == "" && g.said.FromCache():
		gives = "1"
	case gives == "":
		gives = strconv.Itoa(asked)
	}
	must(t, g.body == gives, "step %d: body %q, want %q", n, g.body, gives)
	must(t, st.age == "" || g.Header.Get("Age") == st.age, "step %d: age %q, want %q", n, g.Header.Get("Age"), st.age)
	lines := func(h http.Header, want string, what string) {
		for name, values := range headerOf(want) {
			must(t, strings.Join(h[name], "|") == strings.Join(values, "|"), "step %d: %s %s: %q, want %q", n, what, name, h[name], values)
		}
	}
	none := func(h http.Header, names string, what string) {
		for name := range strings.FieldsSeq(names) {
			must(t, h[name] == nil, "step %d: %s %s: %q", n, what, name, h[name])
		}
	}
	lines(g.Header, st.has, "answer:")
	none(g.Header, st.lacks, "answer:")
	lines(seen, st.seen, "request:")
	none(seen, st.free, "request:")
}
