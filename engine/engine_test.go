package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
)

func TestBytesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Bytes(rapid.Int64Range(0, math.MaxInt64).Draw(t, "bytes"))
		back, err := ParseBytes(b.String())
		if err != nil || back != b {
			t.Fatalf("%d became %s and %d: %v", int64(b), b, int64(back), err)
		}
	})
	for in, want := range map[string]Bytes{"0": 0, "1": 1, "64KiB": 64 << 10, "128MiB": 128 << 20, "1GiB": 1 << 30, "7B": 7} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5MiB", "1MB", "KiB", "9223372036854775808", "9007199254740992KiB", " 1", "1 MiB", "0x10"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d", in, got)
		}
	}
}

func TestLimitsJSON(t *testing.T) {
	in := `{"memory":"64MiB","stack":65536,"timeout":"500ms","fuel":1000}`
	var l Limits
	if err := json.Unmarshal([]byte(in), &l); err != nil {
		t.Fatal(err)
	}
	want := Limits{Memory: 64 << 20, Stack: 64 << 10, Timeout: Duration(500 * time.Millisecond), Fuel: 1000}
	if l != want {
		t.Fatalf("read %+v, want %+v", l, want)
	}
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); got != `{"memory":"64MiB","stack":"64KiB","fuel":1000,"timeout":"500ms"}` {
		t.Errorf("wrote %s", got)
	}
	for _, bad := range []string{`{"timeout":5}`, `{"timeout":"-1s"}`, `{"memory":"big"}`, `{"memory":-1}`, `{"memory":1.5}`} {
		if err := json.Unmarshal([]byte(bad), &l); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestLimitsCheck(t *testing.T) {
	top := MaxLimits()
	if err := top.Check(MaxLimits()); err != nil {
		t.Errorf("the limits at their maximum: %v", err)
	}
	if err := (Limits{}).Or(DefaultLimits()).Check(MaxLimits()); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, change := range map[string]func(*Limits){
		"memory":  func(l *Limits) { l.Memory++ },
		"stack":   func(l *Limits) { l.Stack++ },
		"output":  func(l *Limits) { l.Output++ },
		"items":   func(l *Limits) { l.Items++ },
		"timeout": func(l *Limits) { l.Timeout++ },
		"fuel":    func(l *Limits) { l.Fuel = -1 },
	} {
		l := top
		change(&l)
		if err := l.Check(MaxLimits()); err == nil || !strings.Contains(err.Error(), "limit "+name) {
			t.Errorf("%s one past: %v", name, err)
		}
	}
	if err := (Limits{Memory: PageSize - 1}).Check(Limits{}); err == nil {
		t.Error("less than a page of memory was accepted")
	}
}

func TestManifest(t *testing.T) {
	m, err := ParseManifest([]byte(`{"name":"n","inputs":["text",{"name":"p","type":"item"}],"outputs":[{"name":"o","content_type":"text/plain"}],"limits":{"memory":"1MiB"},"layout":"grow","memo":"off"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Signature{
		Inputs:  []Param{{Name: "text", Type: TypeSet}, {Name: "p", Type: TypeItem}},
		Outputs: []Param{{Name: "o", Type: TypeSet, ContentType: "text/plain"}},
	}
	if got := m.Signature(); !reflect.DeepEqual(got, want) {
		t.Errorf("signature %+v", got)
	}
	b, err := json.Marshal(m.Signature())
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); got != `{"inputs":["text",{"name":"p","type":"item"}],"outputs":[{"name":"o","content_type":"text/plain"}]}` {
		t.Errorf("signature is written %s", got)
	}
	if empty, err := ParseManifest([]byte(`{}`)); err != nil || !empty.Signature().Open {
		t.Errorf("a manifest without sets: %v, %+v", err, empty)
	}
	if none, err := ParseManifest([]byte(`{"inputs":[],"outputs":[]}`)); err != nil || none.Signature().Open {
		t.Errorf("a manifest with no sets is a whole signature: %v, %+v", err, none)
	}
	for _, bad := range []string{
		``, `[]`, `{} {}`, `{"input":["a"]}`, `{"inputs":["a","a"]}`, `{"inputs":[""]}`, `{"inputs":["a/b"]}`,
		`{"inputs":[{"name":"a","type":"list"}]}`, `{"inputs":[{"name":"a","size":1}]}`, `{"outputs":[{"name":"a","content_type":"a\nb"}]}`,
		`{"memo":"on"}`, `{"limits":{"memory":"1"}}`, `{"limits":{"cpu":"1"}}`, `{"inputs":[7]}`,
		`{"name":"` + strings.Repeat("x", MaxManifest) + `"}`,
	} {
		if _, err := ParseManifest([]byte(bad)); err == nil {
			t.Errorf("%.60s was read", bad)
		}
	}
}

func TestFault(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("run: %w", &Fault{Kind: FaultExit, ExitCode: 7, Detail: "said so", Err: cause})
	if !errors.Is(err, &Fault{Kind: FaultExit}) || errors.Is(err, &Fault{Kind: FaultTrap}) {
		t.Error("a fault must match its kind and no other")
	}
	if !errors.Is(err, cause) || KindOf(err) != FaultExit || KindOf(cause) != "" {
		t.Error("cause or kind got lost")
	}
	if got := err.Error(); got != "run: exit with code 7: said so" {
		t.Errorf("text %q", got)
	}
	seen := map[FaultKind]bool{}
	for _, k := range FaultKinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
	}
	for _, k := range []FaultKind{FaultDeadline, FaultCanceled, FaultOverload, FaultIOFailed, FaultIOTimeout} {
		if k.Deterministic() {
			t.Errorf("%s depends on the machine", k)
		}
	}
}

func TestResult(t *testing.T) {
	memory := []byte("abcdef")
	released := 0
	r := NewResult([]data.Set{
		{Name: "x", Items: []*data.Item{data.NewItem("1", 1, memory[:3]), data.NewItem("2", 2, memory[3:])}},
		{Name: "y"},
	}, Usage{}, 6, func() { released++ })
	want := make([]data.Set, 2)
	for i, s := range r.Outputs {
		want[i].Name = s.Name
		for _, it := range s.Items {
			want[i].Items = append(want[i].Items, it.Clone())
		}
	}
	r.Detach()
	clear(memory)
	if released != 1 || r.Held != 0 || !data.Equal(r.Outputs, want) {
		t.Fatalf("released %d times, holds %d, outputs %v", released, r.Held, r.Outputs)
	}
	r.Detach()
	r.Release()
	if released != 1 || len(r.Outputs) != 2 {
		t.Fatalf("released %d times, %d outputs", released, len(r.Outputs))
	}
}

type always struct{}

func (always) Yield(context.Context, time.Time) (time.Duration, error) { return 0, nil }

func (always) Grow(context.Context, int64, time.Time) (time.Duration, error) { return 0, nil }

func TestSchedulerTravelsInContext(t *testing.T) {
	if SchedulerOf(t.Context()) != nil {
		t.Error("a scheduler from nowhere")
	}
	if SchedulerOf(WithScheduler(t.Context(), always{})) != (always{}) {
		t.Error("the scheduler got lost")
	}
}

func TestSetLimits(t *testing.T) {
	var l Limits
	for name, value := range map[string]string{"memory": "64MiB", "stack": "1MiB", "output": "5", "items": "7", "fuel": "9", "timeout": "2s"} {
		if err := l.Set(name, value); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if want := (Limits{Memory: 64 << 20, Stack: 1 << 20, Output: 5, Items: 7, Fuel: 9, Timeout: Duration(2 * time.Second)}); l != want {
		t.Errorf("%+v", l)
	}
	for _, name := range append(LimitNames(), "memoy") {
		for _, value := range []string{"", "0", "-1", "0s", "x", "1.5", "99999999999999999999"} {
			if err := l.Set(name, value); err == nil {
				t.Errorf("%s=%s is accepted", name, value)
			}
		}
	}
}

func TestTenantTravelsInContext(t *testing.T) {
	if got := TenantOf(t.Context()); got != "" {
		t.Errorf("a tenant %q from nowhere", got)
	}
	if got := TenantOf(WithTenant(t.Context(), "t")); got != "t" {
		t.Errorf("the tenant became %q", got)
	}
}

func TestBytesLong(t *testing.T) {
	for n, want := range map[Bytes]string{
		0: "0", 1000: "1000", 1088 << 10: "1088KiB", 64 << 20: "64MiB", 1 << 32: "4GiB", MaxPages * PageSize: "4095MiB 960KiB", 1<<32 + 1: "4294967297",
	} {
		if got := n.Long(); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
