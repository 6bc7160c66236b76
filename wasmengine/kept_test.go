package wasmengine

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/codecache"
)

// Programs that were loaded from the code cache do what those do that were
// compiled just now, in all that can be seen of them.
func TestKeptProgramsAreTheSame(t *testing.T) {
	sharesNothing(t)
	cache := openCache(t, t.TempDir(), 0)
	without, with := newEngine(t, Config{}), newEngine(t, Config{Cache: cache})
	in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 3, []byte("content"))}}}
	modules, refused := 0, 0
	check := func(t *rapid.T, code []byte) {
		var programs []engine.Program
		defer func() {
			for _, p := range programs {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		why := ""
		for i, e := range []*Engine{without, with, with, with} {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			now := fmt.Sprint(err)
			if i > 0 && now != why {
				t.Fatalf("preparing it for the time %d: %s, not %s", i, now, why)
			}
			why = now
			if err == nil {
				programs = append(programs, p)
			}
		}
		if len(programs) == 0 {
			refused++
			return
		}
		modules++
		for call := range 3 {
			first := told(t, programs[0], in)
			for i, p := range programs[1:] {
				if now := told(t, p, in); now != first {
					t.Fatalf("call %d of program %d: %s, not %s", call, i+1, now, first)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(t, tellAll(t)) })
	s := cache.Stats()
	t.Logf("%d modules, %d refused, %+v, %d compiled", modules, refused, s, with.compiled.here.Load())
	if n := with.compiled.here.Load(); modules == 0 || n > uint64(modules+refused*3) || s.Hits < uint64(modules) {
		t.Errorf("%d modules and %d refused were compiled %d times", modules, refused, n)
	}
}

// The whole suite passes from code that was kept.
func TestConformanceFromCache(t *testing.T) {
	dir := t.TempDir()
	echo := hostile(t, "echo-grow")
	fx := enginetest.Fixtures{
		Echo: echo, Spin: hostile(t, "loop"),
		Grow: hostile(t, "grow-touch"), Recurse: hostile(t, "recursion"), Trap: hostile(t, "load-outside"),
		TrapAfterExit: hostile(t, "exit-0-load-outside"), Exit7: hostile(t, "exit-7-return"), ExitUnset: hostile(t, "exit-untouched"),
		Rejected: map[string][]byte{"text": []byte("#!/bin/sh\n")},
	}
	for round := range 2 {
		compiled := uint64(0)
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) engine.Engine {
				cache, err := codecache.Open(dir, codecache.Options{})
				if err != nil {
					t.Fatal(err)
				}
				e := newEngine(t, Config{Cache: cache})
				t.Cleanup(func() { // before the engine is closed
					compiled += e.compiled.here.Load()
					cache.Close()
				})
				return e
			}, fx)
		})
		if compiled > 0 != (round == 0) {
			t.Errorf("round %d: %d modules were compiled", round, compiled)
		}
	}
}

// keeper makes engines on one cache and counts what they do.
type keeper struct {
	t     *testing.T
	cache *codecache.Cache
}

func (k keeper) prepare(config Config, tenant string, code []byte, lim engine.Limits) *Program {
	k.t.Helper()
	config.Cache = k.cache
	p, err := newEngine(k.t, config).Prepare(engine.WithTenant(k.t.Context(), tenant), code, enginetest.Signature(), lim)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = p.Close() })
	return p.(*Program) //nolint:errcheck // of this engine
}

// What an entry depends on is in its key.
func TestKeys(t *testing.T) {
	k := keeper{t, openCache(t, t.TempDir(), 0)}
	code := touching(1000, 1000, 100, true)
	lim := enginetest.Limits()
	larger, deeper := lim, lim
	larger.Memory *= 2
	deeper.Stack *= 2
	longer := lim
	longer.Timeout, longer.Fuel, longer.Output = 2*longer.Timeout, 1e9, 2*longer.Output
	caps := binary.DefaultCaps()
	caps.Exports--
	other := append(bytes.Clone(code), 0, 2, 1, 'x')
	for _, c := range []struct {
		name   string
		config Config
		tenant string
		code   []byte
		lim    engine.Limits
		misses uint64 // of code and state together
		here   uint64
	}{
		{"first", Config{}, "a", code, lim, 1, 1},
		{"again", Config{}, "a", code, lim, 0, 0},
		{"limits that initialisation can't notice", Config{Idle: -1, Slice: 1000}, "a", code, longer, 0, 0},
		{"more memory", Config{}, "a", code, larger, 1, 0},
		{"more memory again", Config{}, "a", code, larger, 0, 0},
		{"more stack", Config{}, "a", code, deeper, 1, 0},
		{"another tenant", Config{}, "b", code, lim, 1, 1},
		{"other code", Config{}, "a", other, lim, 1, 1},
		{"no images", Config{NoImages: true}, "a", code, lim, 1, 1},
		{"no images again", Config{NoImages: true}, "a", code, lim, 0, 0},
		{"other caps", Config{Caps: caps}, "a", code, lim, 1, 1},
		{"a compile process", Config{Class: Class{Code: 1}}, "a", code, lim, 0, 0},
	} {
		before := k.cache.Stats().Misses
		p := k.prepare(c.config, c.tenant, c.code, c.lim)
		if misses := k.cache.Stats().Misses - before; misses != c.misses || p.engine.compiled.here.Load() != c.here {
			t.Errorf("%s: %d misses, not %d; compiled %d times, not %d", c.name, misses, c.misses, p.engine.compiled.here.Load(), c.here)
		}
	}
	a, b := newEngine(t, Config{Cache: k.cache}), keyOf("a", "b")
	if a.codeKey("a", []byte("bc")) == a.codeKey("ab", []byte("c")) || b == keyOf("ab") || b == keyOf("a", "b", "") {
		t.Error("different things have one key")
	}
}

// Entries have the names and files that docs/format.md describes.
func TestKeptFormat(t *testing.T) {
	k := keeper{t, openCache(t, t.TempDir(), 0)}
	code := touching(1000, 1000, 100, true)
	lim := enginetest.Limits()
	p := k.prepare(Config{}, "tenant", code, lim)
	digest := func(parts ...string) codecache.Key {
		var all []byte
		for _, part := range parts {
			all = append(all, 0, 0, 0, 0, 0, 0, byte(len(part)>>8), byte(len(part)))
			all = append(all, part...)
		}
		return sha256.Sum256(all)
	}
	sum := sha256.Sum256(code)
	ofCode := digest("pappus code 3", "tenant", string(sum[:]), strconv.Itoa(Semantics), "true", p.engine.children.Target().String(), fmt.Sprint(binary.DefaultCaps()))
	ofState := digest("pappus state 1", string(ofCode[:]), strconv.FormatInt(int64(lim.Memory)/engine.PageSize, 10), strconv.FormatInt(int64(lim.Stack), 10))
	for key, want := range map[codecache.Key][]string{ofCode: {moduleFile, "wazero-*/*"}, ofState: {stateFile}} {
		entry, ok := k.cache.Get(key)
		if !ok {
			t.Errorf("there is no entry with %v", want)
			continue
		}
		files := 0
		for _, pattern := range want {
			found, err := filepath.Glob(filepath.Join(entry.Dir(), pattern))
			if err != nil || len(found) != 1 {
				t.Errorf("%s: %v (%v)", pattern, found, err)
			}
		}
		err := filepath.WalkDir(entry.Dir(), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files++
			}
			return err
		})
		if err != nil || files != len(want) {
			t.Errorf("%d files instead of %v (%v)", files, want, err)
		}
		entry.Close()
	}
}

// Whatever initialisation can see of the limits is in the state that is kept for them.
func TestStateDependsOnLimits(t *testing.T) {
	b := binarytest.New().Pages(2, 100)
	// memory[2000] = memory.grow(8): whether that works depends on the limit
	b.ExportFunc(exportInitialize, b.Type(nil, nil), nil, i32Store(2000, binary.OpI32Const, binarytest.S(8), binary.OpMemoryGrow, byte(0)))
	code := tell(b, nil)
	k := keeper{t, openCache(t, t.TempDir(), 0)}
	small, large := enginetest.Limits(), enginetest.Limits()
	small.Memory, large.Memory = 4*engine.PageSize, 16*engine.PageSize
	told := func(p *Program, lim engine.Limits) string {
		r, err := p.Run(t.Context(), nil, lim)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		return fmt.Sprintf("%x", r.Outputs[0].Items[0].Bytes()[2000:2004])
	}
	for range 2 {
		for _, c := range []struct {
			lim  engine.Limits
			want string
		}{{small, "ffffffff"}, {large, "02000000"}} {
			if got := told(k.prepare(Config{}, "", code, c.lim), c.lim); got != c.want {
				t.Errorf("with %s of memory growing gave %s, not %s", c.lim.Memory, got, c.want)
			}
		}
	}
	if s := k.cache.Stats(); s.Entries != 3 || s.Hits != 5 { // code thrice, states twice
		t.Errorf("%+v", s)
	}
}

// Files that are of no use though the seal is right: the module is compiled
// again, and the entry is made anew.
func TestUnfitEntries(t *testing.T) {
	code := touching(1000, 1000, 100, true)
	plain := touching(1000, 1000, 100, false)
	for _, c := range []struct {
		name  string
		code  []byte
		state bool // spoil the state of an initialised module
		spoil func(dir string) error
	}{
		{"no module", code, false, func(dir string) error { return os.Remove(filepath.Join(dir, moduleFile)) }},
		{"empty module", code, false, func(dir string) error { return os.WriteFile(filepath.Join(dir, moduleFile), nil, 0o600) }},
		{"no machine code", code, false, func(dir string) error { return os.RemoveAll(filepath.Join(dir, machineFolder(dir))) }},
		{"short machine code", code, false, cutMachine(7)},
		{"shorter machine code", code, false, cutMachine(2)},
		{"other facts", code, false, edit(moduleFile, `"System":1024`, `"System":4294967295`)},
		{"other layout", code, false, edit(moduleFile, `"Layout":"grow"`, `"Layout":"grew"`)},
		{"not JSON", code, false, edit(moduleFile, `"Facts":`, `"Facts",`)},
		{"other module", code, false, edit(moduleFile, "\x00asm", "\x00asn")},
		{"no state", plain, false, func(dir string) error { return os.Remove(filepath.Join(dir, stateFile)) }},
		{"run outside", plain, false, edit(stateFile, `"Offset":65536`, `"Offset":4294967295`)},
		{"longer run", plain, false, edit(stateFile, `"Length":1000`, `"Length":1001`)},
		{"shorter run", plain, false, edit(stateFile, `"Length":1000`, `"Length":999`)},
		{"no memory", plain, false, edit(stateFile, `"Pages":`, `"Pages":1,"Rages":`)},
		{"state of none", plain, false, edit(stateFile, `"None":false`, `"None":true`)},
		{"globals in a state", code, true, edit(stateFile, `"Globals":[`, `"Globals":[0,`)},
		{"no globals in a state", code, true, edit(stateFile, `"Globals":[9]`, `"Globals":null`)},
		{"empty state", code, true, func(dir string) error { return os.WriteFile(filepath.Join(dir, stateFile), nil, 0o600) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keeper{t, openCache(t, t.TempDir(), 0)}
			p := k.prepare(Config{}, "", c.code, enginetest.Limits())
			want := runOnce(t, p)
			key := p.engine.codeKey("", c.code)
			if c.state {
				key = stateKey(key, p.most(enginetest.Limits()), enginetest.Limits().Stack)
			}
			reseal(t, k.cache, key, c.spoil)
			p = k.prepare(Config{}, "", c.code, enginetest.Limits())
			if got := runOnce(t, p); got != want {
				t.Errorf("it gives %s, not %s", got, want)
			}
			if s := k.cache.Stats(); s.Damaged != 1 {
				t.Errorf("%+v", s)
			}
			// Now it is whole again.
			p = k.prepare(Config{}, "", c.code, enginetest.Limits())
			if got := runOnce(t, p); got != want || p.engine.compiled.here.Load() > 0 || k.cache.Stats().Damaged != 1 {
				t.Errorf("then it gives %s, not %s, compiled %d times", got, want, p.engine.compiled.here.Load())
			}
		})
	}
}

func runOnce(t *testing.T, p engine.Program) string {
	t.Helper()
	r, err := p.Run(t.Context(), nil, enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	return fmt.Sprint(r.Outputs[0].Items[0].Digest(), r.Usage.Fuel)
}

// reseal puts a copy of an entry in its place, with something changed.
func reseal(t *testing.T, cache *codecache.Cache, key codecache.Key, change func(dir string) error) {
	t.Helper()
	entry, ok := cache.Get(key)
	if !ok {
		t.Fatal("there is no entry")
	}
	dir, err := cache.Scratch()
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(entry.Dir()))
	}
	entry.Close()
	if err == nil {
		err = change(dir)
	}
	if err == nil {
		err = cache.Put(key, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// edit replaces the one place of a file where old stands, without changing
// the length that the file says its description has.
func edit(file, old, other string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, file)
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(b, []byte(old)) {
			return fmt.Errorf("%s does not hold %q: %q", file, old, b[:min(len(b), 300)])
		}
		b = bytes.Replace(b, []byte(old), []byte(other), 1)
		n := int(b[2])<<8 + int(b[3]) + len(other) - len(old)
		if strings.Contains(old, "asm") {
			n += len(old) - len(other)
		}
		b[2], b[3] = byte(n>>8), byte(n)
		return os.WriteFile(path, b, 0o600)
	}
}

// machineFolder is the folder that wazero made.
func machineFolder(dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, "wazero-*"))
	if err != nil || len(found) != 1 {
		return "missing"
	}
	return filepath.Base(found[0])
}

func cutMachine(nth int64) func(dir string) error {
	return func(dir string) error {
		return filepath.WalkDir(filepath.Join(dir, machineFolder(dir)), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/nth)
		})
	}
}

// A cache that can't take anything is no reason not to run.
func TestCacheThatFails(t *testing.T) {
	code := hostile(t, "echo-grow")
	closed := openCache(t, t.TempDir(), 0)
	closed.Close()
	full := openCache(t, t.TempDir(), 64)
	gone := t.TempDir()
	without := openCache(t, gone, 0)
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	for name, cache := range map[string]*codecache.Cache{"closed": closed, "full": full, "gone": without} {
		for _, class := range []Class{{}, {Code: 1}} {
			p := keeper{t, cache}.prepare(Config{Class: class}, "", code, enginetest.Limits())
			r, err := p.Run(t.Context(), []data.Set{{Name: "in"}}, enginetest.Limits())
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.Release()
		}
	}
}

// Programs that come from the cache are used by many goroutines at once from
// the first moment on, while others load and close the same.
func TestLoadingHammer(t *testing.T) {
	cache := openCache(t, t.TempDir(), 0)
	e := newEngine(t, Config{Cache: cache})
	codes := [][]byte{hostile(t, "echo-grow"), touching(1000, 1000, 100, true), touching(mapFrom, 1000, 100, true)}
	rounds := 20
	if raceEnabled {
		rounds = 8
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range rounds {
				p, err := e.Prepare(t.Context(), codes[(w+n)%len(codes)], enginetest.Signature(), enginetest.Limits())
				if err != nil {
					t.Error(err)
					return
				}
				var calls sync.WaitGroup
				for range 8 {
					calls.Go(func() {
						r, err := p.Run(t.Context(), []data.Set{{Name: "in"}}, enginetest.Limits())
						if err != nil {
							t.Error(err)
						}
						r.Release()
					})
				}
				calls.Wait()
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if s := cache.Stats(); s.Damaged > 0 || s.Hits == 0 {
		t.Errorf("%+v", s)
	}
}

// Size is about what a loaded program holds.
func TestSize(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const programs = 200
	e := newEngine(t, Config{Cache: openCache(t, t.TempDir(), 0)})
	for _, c := range []struct {
		name string
		code []byte
	}{{"small", hostile(t, "echo-grow")}, {"32 KB", large(60)}, {"200 KB", large(400)}} {
		name, code := c.name, c.code
		var loaded []engine.Program
		collect := func() {
			for range 3 {
				runtime.GC()
			}
		}
		// Compiling leaves memory to be used again, so it is done before.
		for range 2 {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		collect()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		resident := residentBytes(t)
		for range programs {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Run(t.Context(), nil, enginetest.Limits())
			if err == nil {
				r.Release()
			}
			loaded = append(loaded, p)
		}
		collect()
		runtime.ReadMemStats(&after)
		heap := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / programs
		grown := (residentBytes(t) - resident) / programs
		size := loaded[0].Size()
		t.Logf("%s: %d KB of wasm, Size %d KB, resident %d KB, of the heap %d KB", name, len(code)>>10, size>>10, grown>>10, heap>>10)
		if heap > size || size > 3*max(grown, heap) {
			t.Errorf("%s: it says %d bytes, and holds %d", name, size, grown)
		}
		for _, p := range loaded {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
