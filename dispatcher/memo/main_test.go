package memo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testMemory = 8 << 20

func newMemo(t testing.TB, change ...func(*Options)) *Memo {
	t.Helper()
	o := Options{Memory: testMemory}
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// settle waits until ristretto has looked at everything it was given.
func (m *memory) settle() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.closed {
		m.main.Wait()
	}
}

func items(contents ...string) []data.Set {
	set := data.Set{Name: "in"}
	for i, c := range contents {
		set.Items = append(set.Items, data.NewItem(fmt.Sprint("item", i), uint32(i), []byte(c)))
	}
	return []data.Set{set}
}

func outputs(content string) []data.Set { return outputsOf([]byte(content)) }

func outputsOf(content []byte) []data.Set {
	return []data.Set{{Name: "out", Items: []*data.Item{data.NewItem("o", 1, content)}}, {Name: "empty", Items: []*data.Item{}}}
}

// content is what outputs was given.
func content(t testing.TB, o Outcome) string {
	t.Helper()
	if len(o.Outputs) != 2 || len(o.Outputs[0].Items) != 1 {
		t.Fatalf("outputs are %v", o.Outputs)
	}
	return string(o.Outputs[0].Items[0].Bytes())
}

// echo is a run that leaves what it is given, in a time that it only claims.
func echo(in []data.Set, took time.Duration, fuel int64) Run {
	return func(context.Context, *Shared) (engine.Result, error) {
		usage := engine.Usage{Run: took, Fuel: fuel, MemoryPages: 2}
		return engine.NewResult(outputs(string(in[0].Items[0].Bytes())), usage, 0, nil), nil
	}
}

func failing(f *engine.Fault) Run {
	return func(context.Context, *Shared) (engine.Result, error) { return engine.Result{}, f }
}

func (m *Memo) testFunction(tenant, name string) *Function {
	s := sampleSpec()
	s.Tenant, s.Function = tenant, name
	s.Code = map[string]data.Digest{"wasm": data.Sum([]byte(name))}
	return m.Function(s)
}

// wantFrom calls and compares where the answer comes from.
func wantFrom(t testing.TB, m *Memo, c Call, run Run, source Source) (Outcome, error) {
	t.Helper()
	o, err := m.Do(t.Context(), c, run)
	if o.Source != source {
		t.Errorf("the answer is %s (error %v), want %s", o.Source, err, source)
	}
	return o, err
}
