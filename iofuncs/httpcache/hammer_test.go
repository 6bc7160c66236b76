package httpcache_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pappus/iofuncs/httpcache"
)

// versions is a server of resources that change. It says what it was asked for, by
// whom, and the version.
type versions struct {
	of    [10]atomic.Int64
	asked atomic.Int64
}

func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.asked.Add(1)
	i, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if r.Method == http.MethodPost {
		_, _ = fmt.Fprint(w, v.of[i].Add(1))
		return
	}
	n := v.of[i].Load()
	tag := fmt.Sprintf(`"%d-%s"`, n, r.Header.Get("Variant"))
	w.Header().Set("Cache-Control", []string{"max-age=100", "no-cache", "no-store", "max-age=0, stale-while-revalidate=100"}[i%4])
	w.Header().Set("Vary", "Variant")
	w.Header().Set("Etag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = fmt.Fprintf(w, "%s %s %s %d ", r.Header.Get("Who"), r.URL.Path, r.Header.Get("Variant"), n)
	_, _ = io.WriteString(w, strings.Repeat("x", 1<<(i+5)))
	if i == 9 && n%3 == 0 {
		panic(http.ErrAbortHandler) // in the middle
	}
}

// Many clients of several tenants, one server, little memory: nobody gets what is
// another's, or torn, or from before a change of the tenant's own that is complete.
func TestHammer(t *testing.T) {
	origin := new(versions)
	server := httptest.NewServer(origin)
	defer server.Close()
	next := &http.Transport{MaxIdleConnsPerHost: 100}
	defer next.CloseIdleConnections()
	s := open(t, httpcache.Options{Dir: t.TempDir(), Memory: 100_000, Largest: 40_000, Disk: 200_000})
	var floors [2][10]atomic.Int64 // by tenant and resource: the version that a change of its own brought
	var group sync.WaitGroup
	for client := range 16 {
		group.Go(func() {
			who := client % 2
			rt := httpcache.New(next, s, strconv.Itoa(who))
			random := rand.New(rand.NewPCG(uint64(client), 1))
			for range 80 {
				i := random.IntN(10)
				url := fmt.Sprint(server.URL, "/", i)
				if random.IntN(20) == 0 {
					g, err := try(rt, request(t, "POST", url, ""))
					if err != nil {
						t.Error(err)
						return
					}
					n, _ := strconv.ParseInt(g.body, 10, 64)
					for f := &floors[who][i]; ; {
						if old := f.Load(); old >= n || f.CompareAndSwap(old, n) {
							break
						}
					}
					continue
				}
				floor := floors[who][i].Load()
				variant := strconv.Itoa(random.IntN(3))
				g, err := try(rt, request(t, "GET", url, fmt.Sprintf("Who: %d\nVariant: %s", who, variant)))
				if err != nil {
					if i != 9 {
						t.Error(err)
					}
					continue
				}
				var version int64
				var rest string
				want := fmt.Sprintf("%d /%d %s ", who, i, variant)
				_, err = fmt.Sscanf(strings.TrimPrefix(g.body, want), "%d %s", &version, &rest)
				if !strings.HasPrefix(g.body, want) || err != nil || len(rest) != 1<<(i+5) {
					t.Errorf("%d bytes, %.30q, want %q (%s)", len(g.body), g.body, want, g.what())
				}
				if version < floor {
					t.Errorf("resource %d: version %d, after a change to %d was answered (%s)", i, version, floor, g.what())
				}
			}
		})
	}
	group.Wait()
	st := s.Stats()
	must(t, st.Bytes <= 100_000 && st.DiskBytes <= 200_000, "%+v", st)
	for name, n := range map[string]uint64{"hits": st.Hits, "stale": st.Stale, "revalidated": st.Revalidated, "invalidated": st.Invalidated,
		"abandoned": st.Abandoned, "evicted": st.Evicted, "from disk": st.DiskHits} {
		must(t, n > 0, "nothing was %s: %+v", name, st)
	}
	closing(t, s)
	must(t, s.Stats().DiskDamaged == 0 && s.Stats().DiskFailures == 0 && s.Stats().Flights == 0, "%+v", s.Stats())
}
