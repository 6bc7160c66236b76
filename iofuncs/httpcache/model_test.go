package httpcache_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"pappus/iofuncs/httpcache"
)

const none = -1

// policy is what an origin says of its answers. Times in seconds, or none.
type policy struct {
	maxAge, age, staleIfError, staleWhile int
	mustRevalidate, noCache, noStore, tag bool
}

func seconds() *rapid.Generator[int] { return rapid.SampledFrom([]int{none, none, 0, 1, 2, 3, 4, 20}) }

func (p policy) lines() string {
	var b strings.Builder
	b.WriteString("Vary: Variant\nCache-Control: private")
	for name, n := range map[string]int{"max-age": p.maxAge, "stale-if-error": p.staleIfError, "stale-while-revalidate": p.staleWhile} {
		if n != none {
			fmt.Fprintf(&b, ", %s=%d", name, n)
		}
	}
	for name, is := range map[string]bool{"must-revalidate": p.mustRevalidate, "no-cache": p.noCache, "no-store": p.noStore} {
		if is {
			b.WriteString(", " + name)
		}
	}
	if p.age != none {
		fmt.Fprintf(&b, "\nAge: %d", p.age)
	}
	return b.String()
}

// vouched is when, and how, an origin said last that a version is right.
type vouched struct {
	at time.Time
	policy
}

// wishes are those of a request.
type wishes struct {
	maxAge, minFresh, maxStale, staleIfError int
	noCache, onlyCached                      bool
}

func (w wishes) lines() string {
	var parts []string
	for name, n := range map[string]int{"max-age": w.maxAge, "min-fresh": w.minFresh, "max-stale": w.maxStale, "stale-if-error": w.staleIfError} {
		if n != none {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	if w.noCache {
		parts = append(parts, "no-cache")
	}
	if w.onlyCached {
		parts = append(parts, "only-if-cached")
	}
	if len(parts) == 0 {
		return ""
	}
	return "Cache-Control: " + strings.Join(parts, ", ") + "\n"
}

// world is an origin of versions, and what it has said to whom.
type world struct {
	now     map[string]int                // the version of each path
	policy  policy                        // of its next answers
	down    bool                          // it can't be reached
	failing bool                          // it answers 503
	asked   int                           // how often, since the step began
	said    map[string]map[string]vouched // by whom it was told, then by version
}

func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	w.asked++
	switch {
	case w.down:
		return nil, errors.New("the origin is down")
	case w.failing:
		return answer(req, http.StatusServiceUnavailable, "Cache-Control: no-store", "failing"), nil
	case req.Method == http.MethodPost:
		w.now[req.URL.Path]++
		return answer(req, http.StatusOK, "", "changed"), nil
	}
	who := req.Header.Get("Who") + req.URL.Path + req.Header.Get("Variant")
	version := fmt.Sprintf("%s %s %d", req.URL.Path, req.Header.Get("Variant"), w.now[req.URL.Path])
	tag := `"` + version + `"`
	lines := w.policy.lines()
	if w.policy.tag {
		lines += "\nEtag: " + tag
	}
	if w.said[who] == nil {
		w.said[who] = make(map[string]vouched)
	}
	w.said[who][version] = vouched{time.Now(), w.policy}
	if w.policy.tag && req.Header.Get("If-None-Match") == tag {
		return answer(req, http.StatusNotModified, lines, ""), nil
	}
	return answer(req, http.StatusOK, lines, version), nil
}

// allowed reports whether a version may be served that the origin vouched for, and
// whether it is fresh. failed: the origin could not say better now.
func allowed(v vouched, w wishes, failed bool) (ok, fresh bool) {
	age := int(time.Since(v.at)/time.Second) + max(0, v.age)
	left := max(0, v.maxAge) - age
	switch {
	case v.noStore, v.noCache, w.noCache:
		return false, false
	case w.maxAge != none && age > w.maxAge:
		return false, false
	case w.minFresh != none && left < w.minFresh:
		return false, false
	case left > 0:
		return true, true
	case v.mustRevalidate:
		return false, false
	case w.maxStale != none && -left <= w.maxStale, v.staleWhile != none && -left <= v.staleWhile:
		return true, false
	}
	most := max(v.staleIfError, w.staleIfError)
	return failed && w.minFresh == none && most != none && -left <= most, false
}

// A cache in front of an origin whose resources change never serves what is staler
// than origin and request allow, nothing that a change through it has made wrong,
// nobody else's; and it does serve what is fresh.
func TestNeverTooStale(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		var failure any // is rapid's to see, outside of the bubble
		synctest.Test(t, func(*testing.T) {
			defer func() { failure = recover() }()
			live(r, filepath.Join(base, strconv.Itoa(n)))
		})
		if failure != nil {
			panic(failure)
		}
	})
}

func live(t *rapid.T, dir string) {
	o := httpcache.Options{Dir: dir}
	if rapid.Bool().Draw(t, "only memory") {
		o.Dir = ""
	}
	s := open(t, o)
	defer func() { closing(t, s) }()
	w := &world{now: make(map[string]int), said: make(map[string]map[string]vouched)}
	path := rapid.SampledFrom([]string{"/a", "/a", "/a", "/a", "/b"})
	tenant := rapid.SampledFrom([]string{"1", "1", "1", "1", "2"})
	variant := rapid.SampledFrom([]string{"x", "x", "x", "x", "y"})
	often := rapid.SampledFrom([]bool{true, false, false, false, false})
	get := func(t *rapid.T) {
		w.get(t, s, tenant.Draw(t, "tenant"), path.Draw(t, "path"), variant.Draw(t, "variant"))
	}
	t.Repeat(map[string]func(*rapid.T){
		"wait": func(t *rapid.T) { wait(time.Duration(rapid.IntRange(1, 4).Draw(t, "seconds")) * time.Second) },
		"origin": func(t *rapid.T) {
			w.down, w.failing = often.Draw(t, "down"), often.Draw(t, "failing")
			w.policy = policy{
				maxAge: seconds().Draw(t, "max-age"), age: seconds().Draw(t, "age"),
				staleIfError: seconds().Draw(t, "stale-if-error"), staleWhile: seconds().Draw(t, "stale-while-revalidate"),
				mustRevalidate: often.Draw(t, "must-revalidate"), noCache: often.Draw(t, "no-cache"), noStore: often.Draw(t, "no-store"),
				tag: rapid.Bool().Draw(t, "tag"),
			}
		},
		"elsewhere": func(t *rapid.T) { w.now[path.Draw(t, "path")]++ },
		"change": func(t *rapid.T) {
			who, at := tenant.Draw(t, "tenant"), path.Draw(t, "path")
			_, err := try(httpcache.New(w, s, who), request(t, http.MethodPost, "http://example.com"+at, ""))
			if (err != nil) != w.down {
				t.Fatalf("%v", err)
			}
			if err != nil || !w.failing {
				for _, v := range []string{"x", "y"} {
					delete(w.said, who+at+v)
				}
			}
		},
		"restart": func(t *rapid.T) {
			closing(t, s)
			if o.Dir == "" {
				clear(w.said)
			}
			s = open(t, o)
		},
		"get":   get,
		"get 2": get,
		"get 3": get,
	})
}

// get makes a request and judges the answer.
func (w *world) get(t *rapid.T, s *httpcache.Store, who, at, v string) {
	often := rapid.SampledFrom([]bool{true, false, false, false, false})
	wish := wishes{none, none, none, none, false, often.Draw(t, "only-if-cached")}
	if often.Draw(t, "wishes") {
		wish = wishes{seconds().Draw(t, "max-age"), seconds().Draw(t, "min-fresh"), seconds().Draw(t, "max-stale"),
			seconds().Draw(t, "stale-if-error"), often.Draw(t, "no-cache"), false}
	}
	lines := fmt.Sprintf("Who: %s\nVariant: %s\n%s", who, v, wish.lines())
	current := fmt.Sprintf("%s %s %d", at, v, w.now[at])
	before := make(map[string]vouched)
	for version, said := range w.said[who+at+v] {
		before[version] = said
	}
	w.asked = 0
	g, err := try(httpcache.New(w, s, who), request(t, http.MethodGet, "http://example.com"+at, lines))
	background := err == nil && g.said.Detail == httpcache.DetailRevalidating
	synctest.Wait()
	failed := w.down || w.failing
	newest, last := "", time.Time{}
	for version, said := range before {
		if !said.at.Before(last) {
			newest, last = version, said.at
		}
	}
	switch {
	case err != nil:
		if !w.down || w.asked == 0 {
			t.Fatalf("%v, and the origin was asked %d times", err, w.asked)
		}
	case g.StatusCode == http.StatusGatewayTimeout:
		if !wish.onlyCached || w.asked > 0 {
			t.Fatalf("504, asked %d times", w.asked)
		}
	case g.StatusCode == http.StatusServiceUnavailable:
		if !w.failing || w.asked == 0 {
			t.Fatalf("503 from nowhere")
		}
	case w.asked > 0 && !failed && !background:
		if g.body != current {
			t.Fatalf("the origin says %q, and the answer is %q (%s)", current, g.body, g.what())
		}
	default:
		said, told := before[g.body]
		if !told {
			t.Fatalf("%q was never said, or is changed (%s)", g.body, g.what())
		}
		if ok, _ := allowed(said, wish, failed); !ok {
			t.Fatalf("%q, said %v ago with %+v, is too stale for %+v (%s)", g.body, time.Since(said.at), said.policy, wish, g.what())
		}
	}
	if said, told := before[newest]; told {
		if _, fresh := allowed(said, wish, false); fresh && (err != nil || !g.said.Hit) {
			t.Fatalf("%q, said %v ago with %+v, is fresh for %+v, and not used: %v", newest, time.Since(said.at), said.policy, wish, err)
		}
	}
}
