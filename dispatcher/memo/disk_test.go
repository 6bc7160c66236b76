package memo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

// settle waits until everything that was offered is written.
func (d *disk) settle(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for d.queued.Load() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the queue does not become empty")
		}
		<-time.After(time.Millisecond)
	}
	// A purge of nobody comes after what is being written.
	if err := d.purge(context.Background(), []scope{{tenant: "nobody at all"}}); err != nil && !d.off.Load() {
		t.Fatal(err)
	}
}

// logged collects what is logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newDiskMemo(t testing.TB, dir string, change ...func(*Options)) (*Memo, *logged) {
	t.Helper()
	log := new(logged)
	m := newMemo(t, append([]func(*Options){func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
		o.Disk = DiskOptions{Dir: dir, Bytes: 4 << 20}
	}}, change...)...)
	return m, log
}

func diskFiles(t testing.TB, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, versionName), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func numberedCall(f *Function, i int) Call {
	return Call{Function: f, Inputs: items(fmt.Sprint("input ", i))}
}

func TestTheDiskTierSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	f := m.testFunction("default", "f")
	const n = 20
	for i := range n {
		call := numberedCall(f, i)
		run := echo(call.Inputs, time.Second, int64(i))
		if i%2 == 1 {
			run = failing(&engine.Fault{Kind: engine.FaultExit, ExitCode: int32(i), Hint: "h", Stderr: []byte("s"), Stack: []string{"a", "b"}, Usage: engine.Usage{Run: time.Second, Fuel: 3}})
		}
		wantFrom(t, m, call, run, Computed)
	}
	short := numberedCall(f, n)
	wantFrom(t, m, short, echo(short.Inputs, defaultMinRun-1, n), Computed) // which is not worth a file
	m.Close()                                                               // writes what waits
	if files := diskFiles(t, dir); len(files) != n {
		t.Fatalf("there are %d files", len(files))
	}
	m, _ = newDiskMemo(t, dir)
	f = m.testFunction("default", "f")
	for i := range n {
		call := numberedCall(f, i)
		for _, source := range []Source{FromDisk, FromMemory} { // it is promoted
			o, err := wantFrom(t, m, call, nil, source)
			if i%2 == 0 && (err != nil || content(t, o) != fmt.Sprint("input ", i) || o.Usage.Fuel != int64(i)) {
				t.Errorf("call %d: %+v, %v", i, o, err)
			}
			var fault *engine.Fault
			if i%2 == 1 && (!errors.As(err, &fault) || fault.ExitCode != int32(i) || fault.Hint != "h" || string(fault.Stderr) != "s" || len(fault.Stack) != 2) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
	s := m.Stats()
	if s.DiskHits != n || s.Hits != n || s.Disk.Entries != n || !s.Disk.Enabled || s.Entries != n {
		t.Errorf("figures are %+v", s)
	}
	// Another tenant finds nothing, even of the same code and inputs.
	call := numberedCall(m.testFunction("other", "f"), 0)
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 0), Computed)
}

// What answers more calls takes the place of what answered fewer.
func TestABetterAnswerTakesThePlaceOnDisk(t *testing.T) {
	dir := t.TempDir()
	for _, fuel := range []int64{10, 20, 0} {
		m, _ := newDiskMemo(t, dir)
		call := numberedCall(m.testFunction("default", "f"), 0)
		call.Fuel = fuel
		run := echo(call.Inputs, time.Second, 30)
		if fuel > 0 {
			run = failing(&engine.Fault{Kind: engine.FaultOutOfFuel, Usage: engine.Usage{Run: time.Second, Fuel: fuel + 1}})
		}
		wantFrom(t, m, call, run, Computed)
		m.Close()
		if files := diskFiles(t, dir); len(files) != 1 {
			t.Errorf("with %d fuel there are files %v", fuel, files)
		}
		m, _ = newDiskMemo(t, dir)
		call.Function = m.testFunction("default", "f")
		if _, err := wantFrom(t, m, call, nil, FromDisk); (err == nil) != (fuel == 0) {
			t.Errorf("with %d fuel: %v", fuel, err)
		}
		if s := m.Stats().Disk; s.Entries != 1 || s.Bytes != blockSize {
			t.Errorf("figures are %+v", s)
		}
		m.Close()
	}
}

// Only results that were dear are worth a file.
func TestWhatIsCheapIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	f := m.testFunction("default", "f")
	for i, run := range []struct {
		took time.Duration
		size int
	}{{9 * time.Millisecond, 1}, {11 * time.Millisecond, 1}, {11 * time.Millisecond, 400_000}, {13 * time.Millisecond, 400_000}, {time.Hour, 600_000}} {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(items(strings.Repeat("x", run.size)), run.took, 1), Computed)
	}
	m.Close()
	if files := diskFiles(t, dir); len(files) != 2 {
		t.Errorf("there are files %v", files)
	}
}

// Any one bit that is changed anywhere, and any byte that is missing or too
// much, makes an entry a miss, and removes it.
func TestADamagedEntryIsNeverServed(t *testing.T) {
	dir := t.TempDir()
	m, log := newDiskMemo(t, dir)
	f := m.testFunction("default", "f")
	call := numberedCall(f, 0)
	write := func() string {
		m.memory.forget(new(call.Key()))
		m.disk.discard(call.Key())
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		m.disk.settle(t)
		m.memory.forget(new(call.Key()))
		files := diskFiles(t, dir)
		if len(files) != 1 {
			t.Fatalf("files are %v", files)
		}
		return files[0]
	}
	missing := func(what string) {
		t.Helper()
		if o, found, err := m.Lookup(call); found {
			t.Fatalf("%s: found %+v, %v", what, o, err)
		}
		if files := diskFiles(t, dir); len(files) != 0 {
			t.Fatalf("%s: it is still there", what)
		}
	}
	path := write()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := uint64(0)
	for bit := 0; bit < 8*len(whole); bit += 7 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(write(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		missing(fmt.Sprint("bit ", bit))
		damaged++
	}
	for _, b := range [][]byte{nil, whole[:1], whole[:len(whole)-1], append(bytes.Clone(whole), 0), make([]byte, len(whole))} {
		if err := os.WriteFile(write(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		missing(fmt.Sprint(len(b), " bytes"))
		damaged++
	}
	// A folder in the place of a file.
	path = write()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	missing("a folder")
	damaged++
	// One that is not there is just missing.
	if err := os.Remove(write()); err != nil {
		t.Fatal(err)
	}
	missing("removed by hand")
	if s := m.Stats().Disk; s.Damaged != damaged || !s.Enabled || log.count("damaged") != int(damaged) {
		t.Errorf("figures are %+v, and there are %d warnings", s, log.count("damaged"))
	}
	write()
	if o, found, _ := m.Lookup(call); !found || content(t, o) != "input 0" {
		t.Error("what was not damaged is not found")
	}
}

// Who may write to the folder but can't read its key can't have anything
// served: nothing of their own making, and no entry in another's place.
func TestAForgedEntryIsNeverServed(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	f := m.testFunction("default", "f")
	paths := make([]string, 2)
	for i := range paths {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(items("result 1"), time.Second, 1), Computed)
		m.disk.settle(t)
		m.memory.forget(new(call.Key()))
		k := m.disk.keyName(call.Key())
		if strings.Contains(diskFiles(t, dir)[i], call.Key().String()[:8]) {
			t.Error("a file has the name of its key")
		}
		paths[i] = m.disk.path(&file{tenant: m.disk.tenantName("default"), code: m.disk.codeName(f.scope), name: k})
	}
	other := &secret{1}
	forged, err := other.seal(remember(numberedCall(f, 0).Key(), f.scope, 0, engine.NewResult(outputs("result 2"), engine.Usage{Fuel: 1, Run: time.Second, MemoryPages: 2}, 0, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := m.Lookup(numberedCall(f, 0)); found {
		t.Error("an entry with a seal of another key is served")
	}
	genuine, err := os.ReadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	wantFrom(t, m, numberedCall(f, 0), echo(items("result 1"), time.Second, 1), Computed)
	m.disk.settle(t)
	m.memory.forget(new(numberedCall(f, 0).Key()))
	if err := os.WriteFile(paths[0], genuine, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := m.Lookup(numberedCall(f, 0)); found {
		t.Error("a genuine entry is served in the place of another")
	}
	if s := m.Stats().Disk; s.Damaged != 2 || !s.Enabled {
		t.Errorf("figures are %+v", s)
	}
}

// A key that others may have read, or that is lost, makes all entries worthless.
func TestAKeyThatIsNotSecretIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"readable": func(path string) error { return os.Chmod(path, 0o644) },
		"short":    func(path string) error { return os.WriteFile(path, []byte("short"), 0o600) },
		"missing":  os.Remove,
		"a folder": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		dir := t.TempDir()
		m, _ := newDiskMemo(t, dir)
		call := numberedCall(m.testFunction("default", "f"), 0)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		m.Close()
		if err := spoil(filepath.Join(dir, secretName)); err != nil {
			t.Fatal(err)
		}
		m, _ = newDiskMemo(t, dir)
		call = numberedCall(m.testFunction("default", "f"), 0)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		m.Close()
		m, _ = newDiskMemo(t, dir)
		call = numberedCall(m.testFunction("default", "f"), 0)
		wantFrom(t, m, call, nil, FromDisk)
		info, err := os.Stat(filepath.Join(dir, secretName))
		if err != nil || info.Mode() != 0o600 || len(diskFiles(t, dir)) != 1 {
			t.Errorf("%s: the key has mode %v, %v", name, info.Mode(), err)
		}
		m.Close()
	}
}

// An error of the disk turns the tier off with one warning, and nobody's call
// fails.
func TestADiskThatFailsTurnsTheTierOff(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, m *Memo, dir string){
		"full": func(_ *testing.T, m *Memo, _ string) {
			m.disk.write = func(path string, b []byte) error {
				if err := os.WriteFile(path, b[:len(b)/2], 0o600); err != nil {
					return err
				}
				return &fs.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
			}
		},
		"its folder is gone": func(t *testing.T, _ *Memo, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, tmpName)); err != nil {
				t.Fatal(err)
			}
		},
		"a file where folders are": func(t *testing.T, _ *Memo, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, versionName)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, versionName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m, log := newDiskMemo(t, dir)
			fail(t, m, dir)
			f := m.testFunction("default", "f")
			for i := range 10 {
				call := numberedCall(f, i)
				if o, err := wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed); err != nil || !o.Stored {
					t.Errorf("got %+v, %v", o, err)
				}
				wantFrom(t, m, call, nil, FromMemory)
				if i == 0 {
					m.disk.settle(t)
				}
			}
			m.Close()
			if s := m.disk.snapshot(); s.Enabled || s.Entries != 0 || log.count("level=WARN") != 1 || log.count("disk tier is off") != 1 {
				t.Errorf("figures are %+v, and the log is %s", s, log.b.String())
			}
			left, _ := os.ReadDir(filepath.Join(dir, tmpName))
			if len(left) > 0 {
				t.Errorf("%s is left over", left[0].Name())
			}
		})
	}
	t.Run("from the start", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		m, log := newDiskMemo(t, path)
		call := numberedCall(m.testFunction("default", "f"), 0)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		wantFrom(t, m, call, nil, FromMemory)
		if s := m.Stats().Disk; s.Enabled || log.count("disk tier is off") != 1 {
			t.Errorf("figures are %+v", s)
		}
		if err := m.Purge(t.Context(), "default"); err == nil {
			t.Error("a purge of a folder that can't be opened succeeds")
		}
	})
}

func TestTheDiskTierIsBounded(t *testing.T) {
	dir := t.TempDir()
	const bound = 100 * blockSize
	small := func(o *Options) { o.Disk.Bytes = bound }
	m, _ := newDiskMemo(t, dir, small)
	f := m.testFunction("default", "f")
	for i := range 150 {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(items(strings.Repeat("x", i%3*5_000)), time.Second, 1), Computed)
		m.disk.settle(t)
		m.memory.forget(new(numberedCall(f, 0).Key()))
		wantFrom(t, m, numberedCall(f, 0), nil, FromDisk) // the one that is used stays
		if s := m.Stats().Disk; s.Bytes > bound {
			t.Fatalf("there are %d bytes", s.Bytes)
		}
	}
	s := m.Stats().Disk
	if s.Evicted == 0 || s.Evicted+uint64(s.Entries) != 150 || int64(len(diskFiles(t, dir))) != s.Entries {
		t.Errorf("figures are %+v, and there are %d files", s, len(diskFiles(t, dir)))
	}
	m.Close()
	// A smaller bound holds from the start.
	m, _ = newDiskMemo(t, dir, func(o *Options) { o.Disk.Bytes = bound / 2 })
	if s := m.Stats().Disk; s.Bytes > bound/2 || s.Bytes < bound/3 || int64(len(diskFiles(t, dir))) != s.Entries {
		t.Errorf("figures are %+v, and there are %d files", s, len(diskFiles(t, dir)))
	}
}

func TestWhatIsOldIsRemoved(t *testing.T) {
	dir := t.TempDir()
	week := func(o *Options) { o.Disk.MaxAge = 7 * 24 * time.Hour }
	m, _ := newDiskMemo(t, dir, week)
	f := m.testFunction("default", "f")
	for i := range 2 {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		m.disk.settle(t)
	}
	for i, path := range diskFiles(t, dir) {
		old := time.Now().Add(-time.Duration(i*8+1) * 24 * time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	m, _ = newDiskMemo(t, dir, week)
	files := diskFiles(t, dir)
	if s := m.Stats().Disk; s.Evicted != 1 || len(files) != 1 {
		t.Fatalf("figures are %+v, and there are %d files", s, len(files))
	}
	// The time of use is written down, once an hour.
	f = m.testFunction("default", "f")
	left := 0
	for i := range 2 {
		if _, found, _ := m.Lookup(numberedCall(f, i)); found {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d of 2 entries are found", left)
	}
	if info, err := os.Stat(files[0]); err != nil || time.Since(info.ModTime()) > time.Hour {
		t.Errorf("it was used %v ago, %v", time.Since(info.ModTime()), err)
	}
	// What becomes old while nobody asks is not served.
	m.disk.mu.Lock()
	for place := m.disk.order.Front(); place != nil; place = place.Next() {
		place.Value.(*file).used = time.Now().Add(-8 * 24 * time.Hour) //nolint:errcheck // nothing else is in it
	}
	m.disk.mu.Unlock()
	for i := range 2 {
		m.memory.forget(new(numberedCall(f, i).Key()))
		if _, found, _ := m.Lookup(numberedCall(f, i)); found {
			t.Error("what is too old is served")
		}
	}
	if files := diskFiles(t, dir); len(files) != 0 {
		t.Errorf("there are files %v", files)
	}
}

// What a crash leaves behind does no harm.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	call := numberedCall(m.testFunction("default", "f"), 0)
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	m.Close()
	whole := diskFiles(t, dir)[0]
	torn := filepath.Join(filepath.Dir(whole), strings.Repeat("ab", 16))
	for path, content := range map[string]string{
		torn:                             "torn",
		filepath.Join(dir, tmpName, "x"): "half",
		filepath.Join(dir, versionName, "README"): "not ours",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, _ = newDiskMemo(t, dir)
	call = numberedCall(m.testFunction("default", "f"), 0)
	wantFrom(t, m, call, nil, FromDisk)
	if s := m.Stats().Disk; s.Entries != 2 || !s.Enabled {
		t.Errorf("figures are %+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, tmpName, "x")); err == nil {
		t.Error("the folder of temporary files is not emptied")
	}
	if err := m.Purge(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if files := diskFiles(t, dir); len(files) != 1 || filepath.Base(files[0]) != "README" {
		t.Errorf("there are files %v", files)
	}
}

// Entries of an earlier format are neither read nor kept.
func TestEntriesOfAnEarlierFormatGo(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	call := numberedCall(m.testFunction("default", "f"), 0)
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	m.Close()
	if err := os.Rename(filepath.Join(dir, versionName), filepath.Join(dir, earlierName)); err != nil {
		t.Fatal(err)
	}
	m, log := newDiskMemo(t, dir)
	call = numberedCall(m.testFunction("default", "f"), 0)
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	if s := m.Stats().Disk; !s.Enabled || log.count("WARN") > 0 {
		t.Errorf("figures are %+v, and the log is %s", s, log.b.String())
	}
	if _, err := os.Stat(filepath.Join(dir, earlierName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is there: %v", err)
	}
	b, err := appendBody(nil, remember(Key{1}, scope{}, 0, engine.NewResult(nil, engine.Usage{}, 0, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b[len(bodyMagic)]--
	if e, err := decodeBody(b); !errors.Is(err, errDamaged) {
		t.Errorf("a body of an earlier version is read as %+v, %v", e, err)
	}
}

// A purge is for good: it reaches entries from before a restart, and what is
// purged is not there after the next one.
func TestPurgeIsForGood(t *testing.T) {
	dir := t.TempDir()
	m, _ := newDiskMemo(t, dir)
	for _, tenant := range []string{"a", "b"} {
		call := numberedCall(m.testFunction(tenant, "f"), 0)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	}
	m.Close()
	m, _ = newDiskMemo(t, dir)
	if err := m.Purge(t.Context(), "a", m.testFunction("a", "f").scope.code); err != nil {
		t.Fatal(err)
	}
	m.Close()
	m, _ = newDiskMemo(t, dir)
	for tenant, want := range map[string]bool{"a": false, "b": true} {
		if _, found, _ := m.Lookup(numberedCall(m.testFunction(tenant, "f"), 0)); found != want {
			t.Errorf("of tenant %s it is found: %t", tenant, found)
		}
	}
}

// What is read from disk while a purge waits for its turn is dead as well.
func TestPurgeReachesWhatIsReadMeanwhile(t *testing.T) {
	m, _ := newDiskMemo(t, t.TempDir())
	f := m.testFunction("default", "f")
	call := numberedCall(f, 0)
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	m.disk.settle(t)
	release, writing := make(chan struct{}), make(chan struct{})
	write := m.disk.write
	m.disk.write = func(path string, b []byte) error {
		writing <- struct{}{}
		<-release
		return write(path, b)
	}
	other := numberedCall(m.testFunction("other", "f"), 0)
	wantFrom(t, m, other, echo(other.Inputs, time.Second, 1), Computed)
	<-writing
	purged := make(chan error)
	clock := m.cuts.now()
	go func() { purged <- m.Purge(t.Context(), "default") }()
	for m.cuts.now() == clock {
		runtime.Gosched()
	}
	m.memory.forget(new(call.Key()))
	wantFrom(t, m, call, nil, FromDisk)
	wantFrom(t, m, call, nil, FromMemory)
	close(release)
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	if o, found, _ := m.Lookup(call); found {
		t.Errorf("it is still found: %s", o.Source)
	}
}

// Under pressure results are dropped, and nobody waits.
func TestTheQueueIsBounded(t *testing.T) {
	m, _ := newDiskMemo(t, t.TempDir())
	release, writing := make(chan struct{}), make(chan struct{}, 1)
	write := m.disk.write
	m.disk.write = func(path string, b []byte) error {
		select {
		case writing <- struct{}{}:
		default:
		}
		<-release
		return write(path, b)
	}
	f := m.testFunction("default", "f")
	const n = maxQueue + 50
	for i := range n {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		if i == 0 {
			<-writing
		}
	}
	close(release)
	m.Close()
	if s := m.disk.snapshot(); s.Dropped != n-maxQueue-1 || s.Entries != maxQueue+1 {
		t.Errorf("figures are %+v", s)
	}
}

// A result that was found to be wrong is not written afterwards.
func TestWhatIsWrongIsNotWritten(t *testing.T) {
	m, _ := newDiskMemo(t, t.TempDir())
	release := make(chan struct{})
	write := m.disk.write
	m.disk.write = func(path string, b []byte) error { <-release; return write(path, b) }
	f := m.testFunction("default", "f")
	for i := range 2 {
		call := numberedCall(f, i)
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	}
	o, _ := wantFrom(t, m, numberedCall(f, 1), nil, FromMemory)
	if m.Verified(numberedCall(f, 1), o, nil, engine.NewResult(nil, engine.Usage{}, 0, nil), nil) == nil {
		t.Fatal("there is no difference")
	}
	close(release)
	m.disk.settle(t)
	for i, want := range []bool{true, false} {
		m.memory.forget(new(numberedCall(f, i).Key()))
		if _, found, _ := m.Lookup(numberedCall(f, i)); found != want {
			t.Errorf("entry %d is found: %t", i, found)
		}
	}
}

func TestTheDiskTierHammer(t *testing.T) {
	m, log := newDiskMemo(t, t.TempDir(), func(o *Options) { o.Disk.Bytes = 60 * blockSize; o.Memory = minMemory })
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			f := m.testFunction("default", fmt.Sprint("f", i%2))
			for j := range 300 {
				call := numberedCall(f, (i+j*7)%100)
				o, err := m.Do(t.Context(), call, echo(call.Inputs, time.Second, 1))
				if err != nil || content(t, o) != string(call.Inputs[0].Items[0].Bytes()) {
					t.Errorf("got %+v, %v", o, err)
				}
				if j%50 == 49 {
					if err := m.Purge(t.Context(), "default", f.scope.code); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	m.disk.settle(t)
	if s := m.Stats().Disk; !s.Enabled || log.count("WARN") > 0 || int64(len(diskFiles(t, m.disk.dir))) != s.Entries {
		t.Errorf("figures are %+v, there are %d files, and the log is %s", s, len(diskFiles(t, m.disk.dir)), log.b.String())
	}
}

func drawEntry(t *rapid.T) *entry {
	text := rapid.StringN(0, 20, -1)
	e := &entry{key: Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))}
	number := rapid.Int64Range(0, 1<<62)
	e.usage = engine.Usage{Fuel: number.Draw(t, "fuel"), MemoryPages: number.Draw(t, "pages"), Run: time.Duration(number.Draw(t, "run"))}
	if rapid.Bool().Draw(t, "success") {
		sets := []data.Set{}
		for i := range rapid.IntRange(0, 3).Draw(t, "sets") {
			set := data.Set{Name: fmt.Sprint("s", i), Items: []*data.Item{}}
			for j := range rapid.IntRange(0, 3).Draw(t, "items") {
				set.Items = append(set.Items, data.NewItem("name", uint32(j), rapid.SliceOf(rapid.Byte()).Draw(t, "content")))
			}
			sets = append(sets, set)
		}
		e.outputs = sets
		return e
	}
	kinds := []engine.FaultKind{engine.FaultTrap, engine.FaultOutOfFuel, engine.FaultExit}
	e.fault = &engine.Fault{
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Detail: text.Draw(t, "detail"), Hint: text.Draw(t, "hint"), ExitCode: rapid.Int32().Draw(t, "code"),
		Stderr: rapid.SliceOf(rapid.Byte()).Draw(t, "stderr"), Stack: rapid.SliceOf(text).Draw(t, "stack"), Usage: e.usage,
	}
	if e.fault.Kind == engine.FaultOutOfFuel {
		e.limit = rapid.Int64Range(1, 1<<62).Draw(t, "limit")
	}
	return e
}

func TestEntriesAreDecodedAsTheyWereEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		s := &secret{3}
		b, err := s.seal(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.open(b, e.key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.seal(back)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
		if back.key != e.key || back.usage != e.usage || back.limit != e.limit || !data.Equal(back.outputs, e.outputs) || (back.fault == nil) != (e.fault == nil) {
			t.Fatalf("%+v became %+v", e, back)
		}
		if _, err := s.open(b, Key{}); err == nil && e.key != (Key{}) {
			t.Fatal("it is served under another key")
		}
		if _, err := (&secret{4}).open(b, e.key); err == nil {
			t.Fatal("it is served under another secret")
		}
	})
}

// Whatever a file holds is refused, or is exactly what encoding makes.
func FuzzDecodeBody(f *testing.F) {
	for _, e := range []*entry{
		remember(Key{1}, scope{}, 0, engine.NewResult(outputs("content"), engine.Usage{Fuel: 1, MemoryPages: 2, Run: 3}, 0, nil)),
		remember(Key{}, scope{}, 0, engine.NewResult(nil, engine.Usage{}, 0, nil)),
		rememberFault(Key{2}, scope{}, 0, &engine.Fault{Kind: engine.FaultExit, Detail: "d", Hint: "h", ExitCode: -1, Stderr: []byte("e"), Stack: []string{"a", ""}}, 0),
		rememberFault(Key{3}, scope{}, 0, &engine.Fault{Kind: engine.FaultOutOfFuel}, 10),
	} {
		b, err := appendBody(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(b[:41])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeBody(b)
		if err != nil {
			return
		}
		again, err := appendBody(nil, e)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%x is decoded, and encoded as %x, %v", b, again, err)
		}
		if r, fault := e.answer(); fault == nil && !data.Equal(r.Outputs, e.outputs) {
			t.Error("the answer is not the outputs")
		}
	})
}
