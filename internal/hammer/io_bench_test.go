package hammer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpcache"
	"pappus/iofuncs/httpio"
)

// BenchmarkWaitingCalls has an each make 1,000 requests, 64 at once, of a server that
// takes 10 ms for an answer, and a bare client do the same. Ideal is that nothing but
// the server takes time: 1,000/64 times 10 ms.
func BenchmarkWaitingCalls(b *testing.B) {
	asServed(b)
	const (
		requests, atOnce = 1000, 64
		takes            = 10 * time.Millisecond
		ideal            = requests * takes / atOnce
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(takes)
		_, _ = io.WriteString(w, "an answer") // the client sees what is missing
	}))
	defer server.Close()

	rule, err := egress.ParseRule("127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	policy, err := egress.NewPolicy([]egress.Rule{rule}, nil)
	if err != nil {
		b.Fatal(err)
	}
	cache, err := httpcache.Open(httpcache.Options{})
	if err != nil {
		b.Fatal(err)
	}
	client, err := httpio.New(httpio.Config{Limits: httpio.DefaultLimits(), Rules: httpio.Rules{
		Policy: func(string) *egress.Policy { return policy },
		Through: func(tenant string, next http.RoundTripper) http.RoundTripper {
			return httpcache.New(next, cache, tenant)
		},
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cache.Close(); err != nil {
			b.Error(err)
		}
		client.Close()
	})
	functions, err := iofuncs.NewRegistry(client.Functions()...)
	if err != nil {
		b.Fatal(err)
	}
	d, _, _ := platform(b, dispatcher.Config{
		Workers: workers, MemoryBudget: 4 << 30, IOFunctions: functions, IO: dispatcher.IOLimits{Calls: 2 * atOnce, TenantCalls: atOnce},
	})
	get := compose(b, d, `function system_HTTPGet (requests) => (bodies);
composition gets(uris) => (contents) {
	system_HTTPGet(requests = each uris) => (contents = bodies);
}`)
	items := make([]*data.Item, requests)
	for i := range items {
		items[i] = data.NewItem(fmt.Sprint(i), uint32(i), fmt.Appendf(nil, "%s/%d", server.URL, i))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce}
	defer transport.CloseIdleConnections()
	bare := &http.Client{Transport: transport}
	got := inTurn(b,
		func() { call(b, d, get, "uris", items) },
		func() {
			var taken atomic.Int64
			var all sync.WaitGroup
			for range atOnce {
				all.Go(func() {
					for i := taken.Add(1) - 1; i < requests; i = taken.Add(1) - 1 {
						resp, err := bare.Get(string(items[i].Bytes()))
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body) // the comparison is of time only
						_ = resp.Body.Close()                 // it was read
					}
				})
			}
			all.Wait()
		})
	run, alone := got[0], got[1]
	b.ReportMetric(median(len(run), func(i int) float64 { return run[i].ns / 1e6 }), "ms")
	b.ReportMetric(median(len(run), func(i int) float64 { return alone[i].ns / 1e6 }), "ms-bare")
	b.ReportMetric(median(len(run), func(i int) float64 { return run[i].ns / float64(ideal) }), "times-ideal")
	b.ReportMetric(median(len(run), func(i int) float64 { return run[i].ns / alone[i].ns }), "times-bare")
}
