package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/engine"
	"pappus/registry"
)

func params(names ...string) []engine.Param {
	p := []engine.Param{}
	for _, n := range names {
		p = append(p, engine.Param{Name: n, Type: engine.TypeSet})
	}
	return p
}

func TestEngineForCode(t *testing.T) {
	wasm, cheri := newFakeEngine(), &fakeEngine{name: "chericap", magic: "\x7fELF"}
	for _, c := range []struct {
		contentType, code string
		engines           []engine.Engine
		want              engine.Engine
	}{
		{"", "\x00asm", []engine.Engine{wasm, cheri}, wasm},
		{"", "\x7fELF", []engine.Engine{wasm, cheri}, cheri},
		{"", "\x7fELF", []engine.Engine{wasm}, nil},
		{"", "", []engine.Engine{wasm, cheri}, nil},
		{"", "#!/bin/sh", []engine.Engine{wasm, cheri}, nil},
		{"application/octet-stream", "\x00asm", []engine.Engine{wasm}, wasm},
		{"application/x-www-form-urlencoded", "\x00asm", []engine.Engine{wasm}, wasm},
		{"application/wasm; version=1", "<html>", []engine.Engine{wasm}, wasm}, // which says why it is not
		{"application/x-elf", "\x7fELF", []engine.Engine{wasm, cheri}, cheri},
		{"application/x-elf", "\x7fELF", []engine.Engine{wasm}, nil},
		{"text/html", "\x00asm", []engine.Engine{wasm}, nil},
		{"no type at all;;", "\x00asm", []engine.Engine{wasm}, nil},
	} {
		d := &Dispatcher{engines: c.engines}
		got, err := d.engineFor([]byte(c.code), c.contentType)
		if got != c.want || errors.Is(err, ErrUnknownCode) != (c.want == nil) {
			t.Errorf("%q with %q: engine %v, %v", c.code, c.contentType, got, err)
		}
	}
}

func TestPublishMerges(t *testing.T) {
	manifest := engine.Manifest{
		Description: "what it does",
		Inputs:      params("a"), Outputs: params("b"),
		Limits: engine.Limits{Memory: 2 << 20, Fuel: 5},
		Memo:   engine.MemoOff,
		Layout: "fixed", // what counts is what Inspect found
	}
	full := engine.Limits{Memory: 2 << 20, Fuel: 5}.Or(engine.DefaultLimits())
	withTimeout := full
	withTimeout.Timeout = engine.Duration(time.Second)
	for name, c := range map[string]struct {
		manifest engine.Manifest
		change   func(*Publication)
		want     registry.Version
	}{
		"nothing is said": {
			want: registry.Version{Signature: engine.OpenSignature(), Limits: engine.DefaultLimits(), Memo: engine.MemoAuto},
		},
		"the manifest": {
			manifest: manifest,
			want:     registry.Version{Signature: engine.Signature{Inputs: params("a"), Outputs: params("b")}, Limits: full, Memo: engine.MemoOff, Description: "what it does"},
		},
		"the request is the whole signature": {
			manifest: manifest,
			change:   func(p *Publication) { p.HasSignature, p.Inputs = true, params("x", "y") },
			want:     registry.Version{Signature: engine.Signature{Inputs: params("x", "y"), Outputs: params()}, Limits: full, Memo: engine.MemoOff, Description: "what it does"},
		},
		"the request's limits and memo": {
			manifest: manifest,
			change: func(p *Publication) {
				p.Limits.Timeout, p.Memo = engine.Duration(time.Second), engine.MemoAuto
			},
			want: registry.Version{Signature: engine.Signature{Inputs: params("a"), Outputs: params("b")}, Limits: withTimeout, Memo: engine.MemoAuto, Description: "what it does"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.engine.inspection.Manifest = c.manifest
			v := b.publish(t, "", c.change)
			got := registry.Version{Signature: v.Signature, Limits: v.Limits, Memo: v.Memo, Description: v.Description}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if v.Layout != "dandelion" || v.Tenant != "default" || len(v.Code) != 1 {
				t.Errorf("version %+v", v)
			}
			b.finish(t)
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	var input *InputError
	var rejected *engine.RejectedError
	var tooLarge *TooLargeError
	var badName *registry.NameError
	for name, c := range map[string]struct {
		engine func(*fakeEngine)
		change func(*Publication)
		is     error
		as     any
		says   []string
	}{
		"unknown code": {
			change: func(p *Publication) { p.Code = []byte("GIF89a") },
			is:     ErrUnknownCode, says: []string{"does not begin"},
		},
		"a type that no engine has": {
			change: func(p *Publication) { p.ContentType = "text/plain; charset=utf-8" },
			is:     ErrUnknownCode, says: []string{"Content-Type", `"text/plain"`},
		},
		"a type that can't be read": {
			change: func(p *Publication) { p.ContentType = "a b/c" },
			is:     ErrUnknownCode, says: []string{`"a b/c"`},
		},
		"code that is not what its type says": {
			change: func(p *Publication) { p.Code, p.ContentType = []byte("GIF89a"), "application/wasm" },
			as:     &rejected, says: []string{"inspect f"},
		},
		"code that is too large": {
			change: func(p *Publication) { p.Code = make([]byte, 1001) },
			as:     &tooLarge, says: []string{"1001", "1000"},
		},
		"a bad name": {
			change: func(p *Publication) { p.Name = "../f" },
			as:     &badName,
		},
		"a signature with a name twice": {
			change: func(p *Publication) { p.HasSignature, p.Inputs = true, params("a", "a") },
			as:     &input, says: []string{`"a" appears twice`},
		},
		"an unknown memo": {
			change: func(p *Publication) { p.Memo = "on" },
			as:     &input, says: []string{`"on"`, `"off"`},
		},
		"a limit above the maximum": {
			change: func(p *Publication) { p.Limits.Timeout = engine.Duration(time.Hour) },
			as:     &input, says: []string{"1h0m0s", "15m0s"},
		},
		"a negative limit": {
			change: func(p *Publication) { p.Limits.Fuel = -1 },
			as:     &input, says: []string{"fuel"},
		},
		"a manifest above the maximum": {
			engine: func(e *fakeEngine) { e.inspection.Manifest.Limits.Timeout = engine.Duration(time.Hour) },
			as:     &rejected, says: []string{"manifest", "1h0m0s", "15m0s"},
		},
		"a memory limit below the initial memory": {
			engine: func(e *fakeEngine) { e.inspection.Memory = 3 << 20 },
			change: func(p *Publication) { p.Limits.Memory = 1 << 20 },
			as:     &rejected, says: []string{"3MiB", "1MiB"},
		},
		"a memory limit above the budget": {
			change: func(p *Publication) { p.Limits.Memory = 49 << 20 },
			as:     &input, says: []string{"49MiB", "48MiB"},
		},
		"code that can't be prepared": {
			engine: func(e *fakeEngine) {
				e.prepare = func(context.Context, []byte) error { return &engine.RejectedError{Reason: "no"} }
			},
			as: &rejected, says: []string{"prepare it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.MaxCode, c.MemoryBudget = 1000, 64<<20 })
			if c.engine != nil {
				c.engine(b.engine)
			}
			pub := Publication{Tenant: "default", Name: "f", Code: []byte("\x00asm")}
			if c.change != nil {
				c.change(&pub)
			}
			_, _, err := b.Publish(t.Context(), pub)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || c.as != nil && !errors.As(err, c.as) {
				t.Fatalf("got %v (%T)", err, err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if len(b.reg.versions) != 0 {
				t.Error("it was registered all the same")
			}
			b.finish(t)
		})
	}
}

func TestPublishPassesTheRegistrysErrors(t *testing.T) {
	b := newBench(t, nil)
	b.reg.err = registry.ErrReservedName
	_, _, err := b.Publish(t.Context(), Publication{Tenant: "default", Name: "f", Code: []byte("\x00asm")})
	if !errors.Is(err, registry.ErrReservedName) {
		t.Error(err)
	}
	b.finish(t)
}

func TestNewRefusesConfigs(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"negative workers":              func(c *Config) { c.Workers = -1 },
		"negative queue timeout":        func(c *Config) { c.QueueTimeout = -1 },
		"a tiny memory budget":          func(c *Config) { c.MemoryBudget = 1 << 20 },
		"more memory than there can be": func(c *Config) { c.MemoryBudget, c.Maximum.Memory = 64<<30, 5<<30 },
		"more stack than there can be":  func(c *Config) { c.Maximum.Stack = 65 << 20 },
		"defaults over a maximum": func(c *Config) {
			c.Maximum.Timeout, c.Defaults.Timeout = engine.Duration(time.Second), engine.Duration(2*time.Second)
		},
	} {
		var c Config
		change(&c)
		if _, err := New(c, &fakeRegistry{}, []engine.Engine{newFakeEngine()}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := New(Config{}, &fakeRegistry{}, nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no engine was accepted")
	}
	m := prometheus.NewRegistry()
	for k := range 2 {
		if _, err := New(Config{}, &fakeRegistry{}, []engine.Engine{newFakeEngine()}, m, slog.New(slog.DiscardHandler)); (err != nil) != (k == 1) {
			t.Errorf("dispatcher %d on one metrics registry: %v", k, err)
		}
	}
}
