package memo

import (
	"container/list"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
)

// DiskOptions of the second tier.
type DiskOptions struct {
	Dir   string // a folder of its own; empty: there is no second tier
	Bytes int64  // most bytes of files, each rounded up to 4 KiB; 0: 1 GiB

	// MinRun is how long a run must have taken for its result to be kept on
	// disk, besides 5 ns for each byte of it; 0: 10 ms.
	MinRun time.Duration

	// MaxAge is how long an entry stays that nobody asks for; 0: 30 days.
	MaxAge time.Duration
}

const (
	defaultDisk   = 1 << 30
	defaultMinRun = 10 * time.Millisecond
	defaultMaxAge = 30 * 24 * time.Hour

	readRate  = 5         // ns a byte: what reading and checking may take
	blockSize = 4 << 10   // what files occupy is a multiple of it
	maxQueue  = 256       // entries to be written
	maxQueued = 64 << 20  // and their bytes
	saveEvery = time.Hour // how long the time of a use may be known in memory only
	diskShare = 8         // of the bound: no entry is larger than one eighth

	tmpName     = "tmp"
	versionName = "v2" // the format's version
	earlierName = "v1" // the one before, whose faults had no hints; its entries go
)

// DiskStats are figures of the second tier; all but the first three only grow.
type DiskStats struct {
	Enabled        bool // there is one, and it works
	Entries, Bytes int64

	Evicted uint64 // entries removed for their age or to keep the bound
	Damaged uint64 // entries removed because they were not as they were written
	Dropped uint64 // results that were not written since too many waited
}

// name is a part of an entry's path: that of its tenant, code or key.
type name [16]byte

func (n name) hex() string { return hex.EncodeToString(n[:]) }

// disk is the second tier: a folder of files, one an entry, and a list of them in
// memory. One goroutine writes and purges; whoever asks reads.
//
//	key                32 random bytes, mode 0600
//	tmp/               files that are being written; emptied when it is opened
//	v2/TENANT/CODE/KEY an entry; its modification time is about that of its last use
//
// The names are MACs of what they stand for. So a tenant or a function is purged
// by removing a folder, and nobody learns from a name what was computed.
//
// Any error of the disk turns the tier off until the next start.
type disk struct {
	dir    string
	bound  int64
	minRun time.Duration
	maxAge time.Duration
	secret *secret
	log    *slog.Logger
	dead   func(scope, uint64) bool
	write  func(path string, b []byte) error // os.WriteFile, but in tests of full disks

	off    atomic.Bool
	queue  chan *entry
	purges chan purge
	done   chan struct{} // closed: the goroutine has ended
	queued atomic.Int64  // bytes of entries in queue

	mu      sync.Mutex
	entries map[name]*list.Element
	order   *list.List // of *file; the one used last is in front
	bytes   int64
	closed  bool
	stats   DiskStats
}

// file is an entry in its place. Its times are guarded by disk.mu.
type file struct {
	tenant, code, name name
	size               int64 // exactly
	used, saved        time.Time
}

func (f *file) occupies() int64 { return occupied(f.size) }

func occupied(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

type purge struct {
	scopes []scope
	done   chan error // of capacity 1
}

func (d *disk) tmp() string { return filepath.Join(d.dir, tmpName) }

func (d *disk) folder(names ...name) string {
	path := filepath.Join(d.dir, versionName)
	for _, n := range names {
		path = filepath.Join(path, n.hex())
	}
	return path
}

func (d *disk) path(f *file) string { return d.folder(f.tenant, f.code, f.name) }

func (d *disk) tenantName(tenant string) name {
	return short(d.secret.mac(tenantPurpose, []byte(tenant)))
}
func (d *disk) codeName(s scope) name {
	return short(d.secret.mac(codePurpose, s.code[:], []byte(s.tenant)))
}
func (d *disk) keyName(k Key) name { return short(d.secret.mac(namePurpose, k[:])) }

func short(mac [32]byte) name { return name(mac[:16]) }

// fail turns the tier off, with one warning.
func (d *disk) fail(err error) {
	if !d.off.Swap(true) {
		d.log.Warn("the memo's disk tier is off until the next start: the disk failed", "folder", d.dir, "error", err)
	}
}

// size is about how large the entry of a key is; 0 if there is none.
func (d *disk) size(key Key) int64 {
	if d.off.Load() {
		return 0
	}
	n := d.keyName(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if place := d.entries[n]; place != nil {
		return place.Value.(*file).size //nolint:errcheck // nothing else is in it
	}
	return 0
}

// get returns the entry of key, or nil. Every byte of it was just checked.
func (d *disk) get(key Key, s scope, born uint64) *entry {
	if d.off.Load() {
		return nil
	}
	n := d.keyName(key)
	now := time.Now()
	d.mu.Lock()
	place := d.entries[n]
	if place == nil {
		d.mu.Unlock()
		return nil
	}
	f := place.Value.(*file) //nolint:errcheck // nothing else is in it
	if now.Sub(f.used) > d.maxAge {
		d.drop(place)
		d.stats.Evicted++
		d.mu.Unlock()
		d.remove(f)
		return nil
	}
	d.order.MoveToFront(place)
	f.used = now
	save := now.Sub(f.saved) >= saveEvery
	if save {
		f.saved = now
	}
	d.mu.Unlock()

	path := d.path(f)
	b, err := readExactly(path, f.size)
	var e *entry
	if err == nil {
		e, err = d.secret.open(b, key)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // evicted or purged since, or removed by hand
		d.forget(place)
		return nil
	case errors.Is(err, errDamaged):
		if d.forget(place) {
			d.mu.Lock()
			d.stats.Damaged++
			d.mu.Unlock()
			d.log.Warn("an entry of the memo was damaged and is removed", "file", path, "error", err)
			d.remove(f)
		}
		return nil
	case err != nil:
		d.fail(err)
		return nil
	}
	if save {
		if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.fail(err)
		}
	}
	e.scope, e.born = s, born
	return e
}

// readExactly reads a file that has so many bytes; another one is damaged.
func readExactly(path string, size int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return nil, errDamaged
	}
	b := make([]byte, size)
	_, err = io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errDamaged
	}
	return b, err
}

// drop takes an entry off the list. The caller holds mu.
func (d *disk) drop(place *list.Element) *file {
	f := d.order.Remove(place).(*file) //nolint:errcheck // nothing else is in it
	delete(d.entries, f.name)
	d.bytes -= f.occupies()
	return f
}

// forget is drop, if nobody else did it since.
func (d *disk) forget(place *list.Element) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := place.Value.(*file) //nolint:errcheck // nothing else is in it
	if d.entries[f.name] != place {
		return false
	}
	d.drop(place)
	return true
}

func (d *disk) remove(f *file) {
	if err := os.Remove(d.path(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.fail(err)
	}
}

// discard removes the entry of a key.
func (d *disk) discard(key Key) {
	d.mu.Lock()
	place := d.entries[d.keyName(key)]
	d.mu.Unlock()
	if place != nil && d.forget(place) {
		d.remove(place.Value.(*file)) //nolint:errcheck // nothing else is in it
	}
}

// offer has an entry written some time, if it was dear enough and there is room
// in the queue.
func (d *disk) offer(e *entry) {
	if d.off.Load() || runTime(e.usage) < d.minRun+time.Duration(readRate*e.cost) || occupied(e.cost) > d.bound/diskShare {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if d.queued.Load()+e.cost <= maxQueued {
		select {
		case d.queue <- e:
			d.queued.Add(e.cost)
			return
		default:
		}
	}
	d.stats.Dropped++
}

// serve writes and purges until the queue is closed and empty.
func (d *disk) serve() {
	defer close(d.done)
	for {
		select {
		case p := <-d.purges:
			p.done <- d.removeScopes(p.scopes)
		case e, ok := <-d.queue:
			if !ok {
				return
			}
			d.queued.Add(-e.cost)
			if !d.off.Load() && !e.void.Load() && !d.dead(e.scope, e.born) {
				if err := d.put(e); err != nil {
					d.fail(err)
				}
			}
		}
	}
}

// put writes an entry.
func (d *disk) put(e *entry) error {
	b, err := d.secret.seal(e)
	if errors.Is(err, data.ErrEncoding) {
		return nil // no engine makes such outputs, and the disk is not to blame
	}
	if err != nil {
		return err
	}
	now := time.Now()
	f := &file{
		tenant: d.tenantName(e.scope.tenant), code: d.codeName(e.scope), name: d.keyName(e.key),
		size: int64(len(b)), used: now, saved: now,
	}
	if f.occupies() > d.bound/diskShare {
		return nil
	}
	for _, old := range d.makeRoom(f.occupies(), now) {
		d.remove(old)
	}
	tmp := filepath.Join(d.tmp(), f.name.hex())
	if err := d.write(tmp, b); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	// Who reads the old file while it is replaced must not take the new one for a
	// damaged old one.
	d.mu.Lock()
	if old := d.entries[f.name]; old != nil {
		d.drop(old)
	}
	d.mu.Unlock()
	path := d.path(f)
	err = os.Rename(tmp, path)
	if errors.Is(err, fs.ErrNotExist) { // its folder is not there yet
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.insert(f)
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// insert lists an entry as the one used last. The caller holds mu.
func (d *disk) insert(f *file) {
	if old := d.entries[f.name]; old != nil {
		d.drop(old)
	}
	d.entries[f.name] = d.order.PushFront(f)
	d.bytes += f.occupies()
}

// makeRoom takes off the list what is too old, and what was not used for longest
// until there is room for so many bytes more.
func (d *disk) makeRoom(bytes int64, now time.Time) (evicted []*file) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		last := d.order.Back()
		if last == nil {
			return evicted
		}
		old := now.Sub(last.Value.(*file).used) > d.maxAge //nolint:errcheck // nothing else is in it
		if !old && d.bytes <= d.bound-bytes {
			return evicted
		}
		evicted = append(evicted, d.drop(last))
		d.stats.Evicted++
	}
}

// purge removes all entries of scopes, durably, and those that wait to be
// written, which are dead already.
func (d *disk) purge(ctx context.Context, scopes []scope) error {
	p := purge{scopes, make(chan error, 1)}
	select {
	case d.purges <- p:
	case <-d.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errClosed = errors.New("the memo is closed")

func (d *disk) removeScopes(scopes []scope) error {
	if d.secret == nil {
		return errors.New("the folder could not be opened")
	}
	var failed error
	for _, s := range scopes {
		names := []name{d.tenantName(s.tenant)}
		if !s.code.IsZero() {
			names = append(names, d.codeName(s))
		}
		d.mu.Lock()
		for place := d.order.Front(); place != nil; {
			next := place.Next()
			f := place.Value.(*file) //nolint:errcheck // nothing else is in it
			if f.tenant == names[0] && (len(names) == 1 || f.code == names[1]) {
				d.drop(place)
			}
			place = next
		}
		d.mu.Unlock()
		folder := d.folder(names...)
		err := os.RemoveAll(folder)
		if err == nil {
			err = syncFolder(filepath.Dir(folder))
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		d.fail(failed)
	}
	return failed
}

// syncFolder makes what was removed from a folder stay away after a loss of power.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *disk) snapshot() DiskStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Enabled = !d.off.Load()
	s.Entries, s.Bytes = int64(len(d.entries)), d.bytes
	return s
}

// close writes what waits, and ends the tier.
func (d *disk) close() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.queue)
	}
	d.mu.Unlock()
	<-d.done
	d.off.Store(true)
}
