package httpio_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pappus/iofuncs"
	"pappus/iofuncs/conns/connstest"
)

// A server that has keys changed and does not read holds no request beyond its time, nor
// one that nobody wants any more.
func TestServersThatChangeKeys(t *testing.T) {
	for _, cached := range []bool{false, true} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprintf("cached=%v, cancelled=%v", cached, cancelled), func(t *testing.T) {
				t.Parallel() // they wait
				s := connstest.NewRekeying(t)
				conf := config(t)
				conf.Roots = s.Roots
				if cached {
					withCache(t, &conf)
				}
				if !cancelled {
					conf.Limits.Total = time.Second
				}
				c := newClient(t, conf)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				failed := make(chan error, 1)
				go func() {
					_, err := call(ctx, c, "HTTP", nil, get("https://"+s.Address+"/"))
					failed <- err
				}()
				if cancelled {
					<-s.Stuck
					cancel()
					if err := <-failed; err == nil {
						t.Error("there is an answer")
					}
					return
				}
				wantFault(t, <-failed, iofuncs.KindTimeout, "http-limits total")
			})
		}
	}
}
