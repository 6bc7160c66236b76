package httpcache

import (
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Names in the folder of a disk.
const (
	tmpName     = "tmp"
	versionName = "v1" // the format's version
)

const (
	// block is what sizes of files are rounded up to: it is what they take, and
	// bounds how many there are.
	block = 4 << 10

	// saveEvery is how long the time of a file's use may be known in memory only.
	saveEvery = time.Minute
)

// disk is the second tier: a file for each answer, in one folder, under the digest
// of its resource and a number that grows. Answers are written behind by one
// goroutine. A file is in its place only when it is whole.
type disk struct {
	dir     string
	bound   int64
	waiting int64 // most bytes that wait to be written
	log     *slog.Logger

	mu      sync.Mutex // not held while the disk is busy
	cond    sync.Cond  // something came into the queue, or the disk is closed
	files   map[digest][]*file
	order   *list.List // of *file; the one used last is in front
	queue   []*entry
	pending map[*entry]struct{} // those of the queue, and the one that is being written, that are still wanted
	moving  *entry              // the one that is being moved to its place
	moved   chan struct{}       // closed when it is there, or gone
	queued  int64
	number  uint64
	stats   Stats // the disk's part
	closed  bool
	done    chan struct{}
}

// file is an answer on disk. Its fields are guarded by disk.mu.
type file struct {
	resource digest
	number   uint64
	size     int64         // rounded up
	place    *list.Element // nil: it is gone
	saved    time.Time     // the time of use that the disk knows
	variant  *variant      // nil: it has not been read yet
}

func (f *file) name() string { return f.resource.String() + "-" + strconv.FormatUint(f.number, 10) }

func openDisk(dir string, bound, waiting int64, log *slog.Logger) (*disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &disk{
		dir: dir, bound: bound, waiting: waiting, log: log,
		files: make(map[digest][]*file), order: list.New(), pending: make(map[*entry]struct{}),
		done: make(chan struct{}),
	}
	d.cond.L = &d.mu
	if err := os.MkdirAll(d.place(), 0o700); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(d.tmp()); err != nil {
		log.Warn("leftovers of the HTTP cache could not be removed", "error", err)
	}
	if err := os.Mkdir(d.tmp(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := d.recover(); err != nil {
		return nil, err
	}
	go d.writeBehind()
	return d, nil
}

func (d *disk) tmp() string { return filepath.Join(d.dir, tmpName) }

func (d *disk) place(elem ...string) string {
	return filepath.Join(append([]string{d.dir, versionName}, elem...)...)
}

// recover finds what is there, in the order of its use. Files are looked at, not
// read.
func (d *disk) recover() error {
	found, err := os.ReadDir(d.place())
	if err != nil {
		return err
	}
	type used struct {
		*file
		time time.Time
	}
	all := make([]used, 0, len(found))
	for _, e := range found {
		f, ok := parseName(e.Name())
		if !ok {
			continue // not ours: leave it alone
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		f.size, f.saved = blocks(info.Size()), info.ModTime()
		all = append(all, used{f, f.saved})
	}
	slices.SortFunc(all, func(a, b used) int { return a.time.Compare(b.time) })
	var gone []*file
	for _, f := range all {
		d.number = max(d.number, f.number)
		gone = append(gone, d.index(f.file)...)
	}
	d.unlink(gone)
	return nil
}

// parseName reads what name wrote.
func parseName(name string) (*file, bool) {
	resource, number, ok := strings.Cut(name, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	f := &file{number: n}
	if !ok || err != nil || f.resource.parse(resource) != nil || f.name() != name {
		return nil, false
	}
	return f, true
}

func blocks(n int64) int64 { return (n + block - 1) / block * block }

// index makes a file known, as the one used last, and returns those that are to be
// unlinked for it. The caller holds mu, or is alone.
func (d *disk) index(f *file) (gone []*file) {
	if same := d.files[f.resource]; len(same) >= maxVariants {
		d.forget(same[0])
		gone = append(gone, same[0])
	}
	d.files[f.resource] = append(d.files[f.resource], f)
	f.place = d.order.PushFront(f)
	d.stats.DiskEntries++
	d.stats.DiskBytes += f.size
	for d.stats.DiskBytes > d.bound {
		last, _ := d.order.Back().Value.(*file) // nothing else is in it
		d.forget(last)
		d.stats.DiskEvicted++
		gone = append(gone, last)
	}
	return gone
}

// forget takes a file out of the index. The caller holds mu.
func (d *disk) forget(f *file) {
	if f.place == nil {
		return
	}
	d.order.Remove(f.place)
	f.place = nil
	d.stats.DiskEntries--
	d.stats.DiskBytes -= f.size
	rest := slices.DeleteFunc(slices.Clone(d.files[f.resource]), func(o *file) bool { return o == f })
	if len(rest) == 0 {
		delete(d.files, f.resource)
	} else {
		d.files[f.resource] = rest
	}
}

// detach takes what is known, or waits to be written, of a resource out of the
// index if which says so, and returns the files to unlink. Of what has not been read
// yet the variant is empty. If something of the resource is being moved to its place
// at this moment, that is over when moved is closed.
func (d *disk) detach(resource digest, which func(variant) bool) (gone []*file, moved <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := range d.pending {
		if e.Resource == resource && which(e.variant()) {
			delete(d.pending, e)
		}
	}
	if d.moving != nil && d.moving.Resource == resource {
		moved = d.moved
	}
	for _, f := range d.files[resource] {
		var v variant
		if f.variant != nil {
			v = *f.variant
		}
		if which(v) {
			gone = append(gone, f)
		}
	}
	for _, f := range gone {
		d.forget(f)
	}
	return gone, moved
}

// unlink removes files that are not in the index any more.
func (d *disk) unlink(gone []*file) {
	for _, f := range gone {
		if err := os.Remove(d.place(f.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.failed("remove a file", err)
		}
	}
}

// bury unlinks what detach returned, durably: not even after a loss of power
// something of it comes back.
func (d *disk) bury(gone []*file, moved <-chan struct{}) {
	if len(gone) == 0 && moved == nil {
		return
	}
	if moved != nil {
		<-moved
	}
	d.unlink(gone)
	folder, err := os.Open(d.place())
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	if err != nil {
		d.failed("sync the folder", err)
	}
}

func (d *disk) failed(what string, err error) {
	d.log.Warn("the disk of the HTTP cache failed", "step", what, "error", err)
	d.mu.Lock()
	d.stats.DiskFailures++
	d.mu.Unlock()
}

// holds reports whether a file is still in the index.
func (d *disk) holds(f *file) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f.place != nil
}

// touch makes the file of an entry the one used last.
func (d *disk) touch(e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files[e.Resource] {
		if f.variant != nil && f.variant.is(e.variant()) {
			d.order.MoveToFront(f.place)
		}
	}
}

// put has an entry written, unless too much waits already.
func (d *disk) put(e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for o := range d.pending {
		if o.Resource == e.Resource && o.variant().is(e.variant()) {
			delete(d.pending, o)
		}
	}
	if d.queued+e.size() > d.waiting || blocks(e.size()) > d.bound || d.closed {
		d.stats.DiskDropped++
		return
	}
	d.queued += e.size()
	d.queue = append(d.queue, e)
	d.pending[e] = struct{}{}
	d.cond.Signal()
}

// writeBehind writes what is in the queue until the disk is closed and nothing is.
func (d *disk) writeBehind() {
	defer close(d.done)
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && !d.closed {
			d.cond.Wait()
		}
		if len(d.queue) == 0 {
			d.mu.Unlock()
			return
		}
		e := d.queue[0]
		d.queue[0] = nil
		d.queue = d.queue[1:]
		_, wanted := d.pending[e]
		d.mu.Unlock()
		if wanted {
			d.keep(e)
		}
		d.mu.Lock()
		delete(d.pending, e)
		d.queued -= e.size()
		d.mu.Unlock()
	}
}

// keep writes an entry to its place, in that of its variant's older ones.
func (d *disk) keep(e *entry) {
	tmp, size, err := d.fill(e)
	if err != nil {
		d.failed("write a file", err)
		return
	}
	gone, err := d.commit(e, tmp, size)
	if err != nil {
		err = errors.Join(err, os.Remove(tmp))
		d.failed("move a file to its place", err)
	}
	d.unlink(gone)
}

// commit renames the file of an entry into its place, if it is still wanted, and
// returns those that it takes the place of. If it is to be removed meanwhile, it is
// gone again when d.moving is closed.
func (d *disk) commit(e *entry, tmp string, size int64) (gone []*file, err error) {
	v := e.variant()
	f := &file{resource: e.Resource, size: blocks(size), variant: &v, saved: time.Now()}
	moved := make(chan struct{})
	defer func() {
		d.mu.Lock()
		d.moving, d.moved = nil, nil
		d.mu.Unlock()
		close(moved)
	}()
	d.mu.Lock()
	_, wanted := d.pending[e]
	if wanted {
		d.number++
		f.number = d.number
		d.moving, d.moved = e, moved
	}
	d.mu.Unlock()
	if !wanted {
		return nil, os.Remove(tmp)
	}
	err = os.Rename(tmp, d.place(f.name()))
	d.mu.Lock()
	_, wanted = d.pending[e]
	if err == nil && wanted {
		gone = d.replace(f)
	}
	d.mu.Unlock()
	if err == nil && !wanted {
		err = os.Remove(d.place(f.name()))
	}
	return gone, err
}

// replace makes a new file known, and returns those that are to be unlinked for it.
// The caller holds mu.
func (d *disk) replace(f *file) (gone []*file) {
	for _, o := range d.files[f.resource] {
		if o.variant != nil && o.variant.is(*f.variant) {
			gone = append(gone, o)
		}
	}
	for _, o := range gone {
		d.forget(o)
	}
	d.stats.DiskWritten++
	return append(gone, d.index(f)...)
}

// load reads the newest answer to q.
func (d *disk) load(q *query) *entry {
	d.readHeads(q.resource)
	for {
		f := d.newest(q)
		if f == nil {
			return nil
		}
		e, err := d.read(f)
		if err == nil {
			e.file = f
			d.used(f)
			return e
		}
		d.spoiled(f, err)
	}
}

func (d *disk) newest(q *query) (newest *file) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files[q.resource] {
		if f.variant == nil || f.variant.selecting != q.selecting(f.variant.vary) {
			continue
		}
		if newest == nil || f.number > newest.number {
			newest = f
		}
	}
	return newest
}

// readHeads sees to it that all files of a resource are known for what they are.
// Of several of one variant, which a crash may leave, the newest stays.
func (d *disk) readHeads(resource digest) {
	d.mu.Lock()
	var unknown []*file
	for _, f := range d.files[resource] {
		if f.variant == nil {
			unknown = append(unknown, f)
		}
	}
	d.mu.Unlock()
	if len(unknown) == 0 {
		return
	}
	for _, f := range unknown {
		h, err := d.readHead(f)
		if err != nil {
			d.spoiled(f, err)
			continue
		}
		v := h.variant()
		d.mu.Lock()
		f.variant = &v
		d.mu.Unlock()
	}
	var gone []*file
	d.mu.Lock()
	for _, f := range d.files[resource] {
		for _, o := range d.files[resource] {
			if f.variant != nil && o.variant != nil && f.number < o.number && f.variant.is(*o.variant) {
				gone = append(gone, f)
				break
			}
		}
	}
	for _, f := range gone {
		d.forget(f)
	}
	d.mu.Unlock()
	d.unlink(gone)
}

// used notes that a file was used.
func (d *disk) used(f *file) {
	now := time.Now()
	d.mu.Lock()
	save := false
	if f.place != nil {
		d.order.MoveToFront(f.place)
		if save = now.Sub(f.saved) >= saveEvery; save {
			f.saved = now
		}
	}
	d.mu.Unlock()
	if !save {
		return
	}
	// If that fails the order of use suffers and nothing else.
	if err := os.Chtimes(d.place(f.name()), now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.failed("note that a file was used", err)
	}
}

// spoiled removes a file that can't be used.
func (d *disk) spoiled(f *file, err error) {
	d.mu.Lock()
	first := f.place != nil // else it was removed in between, or somebody else found out
	if first {
		d.forget(f)
		d.stats.DiskDamaged++
	}
	d.mu.Unlock()
	if first {
		d.log.Warn("a file of the HTTP cache can't be used and is removed", "file", f.name(), "error", err)
		d.unlink([]*file{f})
	}
}

func (d *disk) addTo(s *Stats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.DiskEntries, s.DiskBytes = d.stats.DiskEntries, d.stats.DiskBytes
	s.DiskWritten, s.DiskEvicted, s.DiskDropped = d.stats.DiskWritten, d.stats.DiskEvicted, d.stats.DiskDropped
	s.DiskDamaged, s.DiskFailures = d.stats.DiskDamaged, d.stats.DiskFailures
}

// close writes what waits.
func (d *disk) close() {
	d.mu.Lock()
	d.closed = true
	d.cond.Broadcast()
	d.mu.Unlock()
	<-d.done
}

func (d *digest) parse(s string) error {
	if len(s) != 2*len(d) {
		return fmt.Errorf("%q is no digest", s)
	}
	_, err := hex.Decode(d[:], []byte(s))
	return err
}
