package hammer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/dispatcher/memo"
)

// A composition of a thousand instances, of which one has an input that changed,
// against computing all of it: the words of a thousand texts of 8 KiB.
func BenchmarkOneChangedInput(b *testing.B) {
	asServed(b)
	m, err := memo.New(memo.Options{Memory: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.Close)
	d, _, _ := platform(b, dispatcher.Config{Workers: workers, MemoryBudget: 4 << 30, Memo: m})
	code, err := os.ReadFile("../../samples/wordcount/wordcount.wasm")
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := d.Publish(b.Context(), dispatcher.Publication{Tenant: "default", Name: "wordcount", Code: code}); err != nil {
		b.Fatal(err)
	}
	v, _, _, err := d.PublishComposition(b.Context(), dispatcher.CompositionPublication{Tenant: "default", Name: "counts", Source: `
function wordcount(text) => (counts);
composition counts(text) => (counts) { wordcount(text = each text) => (counts = counts); }`})
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []byte {
		var t strings.Builder
		for t.Len() < 8<<10 {
			fmt.Fprintf(&t, "w%d ", random.IntN(300))
		}
		return []byte(t.String())
	}
	texts := make([]*data.Item, 1000)
	for i := range texts {
		texts[i] = data.NewItem(fmt.Sprint(i), 0, text())
	}
	run := func(reuse dispatcher.Reuse) {
		a, err := d.Invoke(context.WithoutCancel(b.Context()), dispatcher.Invocation{Tenant: "default", Target: v, Inputs: []data.Set{{Name: "text", Items: texts}}, Reuse: reuse})
		if err != nil {
			b.Fatal(err)
		}
		a.Release()
	}
	run(dispatcher.ReuseAuto)
	rounds := inTurn(b, func() { run(dispatcher.ReuseNone) }, func() {
		at := random.IntN(len(texts))
		texts[at] = data.NewItem(fmt.Sprint(at), 0, text())
		run(dispatcher.ReuseAuto)
	})
	all := median(len(rounds[0]), func(n int) float64 { return rounds[0][n].ns })
	changed := median(len(rounds[1]), func(n int) float64 { return rounds[1][n].ns })
	b.ReportMetric(all/1e6, "all-ms")
	b.ReportMetric(changed/1e6, "one-changed-ms")
	b.ReportMetric(all/changed, "all/one-changed")
}
