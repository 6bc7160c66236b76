package codecache

import (
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBytes is the bound of a cache that is given none.
const DefaultBytes = 1 << 30

// saveEvery is how long the time of an entry's use may be known in memory only.
const saveEvery = time.Minute

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the code cache is closed")

// A Key names an entry: the digest of all that its content depends on.
type Key [32]byte

// Options of a cache. The zero value is usable.
type Options struct {
	Bytes int64        // most bytes of entries; 0: DefaultBytes
	Log   *slog.Logger // told of what was damaged or could not be removed; nil: nobody is
}

// TooLargeError is returned by Put for what is larger than the whole cache may be.
type TooLargeError struct {
	Bytes int64 // of the entry
	Bound int64 // of the cache
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d bytes are more than the code cache's bound of %d", e.Bytes, e.Bound)
}

// Cache is a bounded store of folders on disk. It is safe for concurrent use
// by one process.
type Cache struct {
	dir    string // absolute
	bound  int64
	secret *secret
	log    *slog.Logger

	mu      sync.Mutex
	entries map[Key]*stored
	order   *list.List // of *stored; the one used last is in front
	clock   time.Time  // of the last use
	stats   Stats
	closed  bool
}

// stored is a folder in its place. Its fields below dir are guarded by
// Cache.mu.
type stored struct {
	key   Key
	dir   string
	bytes int64 // of its files, without the seal

	place *list.Element // nil: it is not in the cache any more, and removed with the last pin
	pins  int
	used  time.Time
	saved time.Time // the time of use that the disk knows
}

// size is what an entry counts.
func (s *stored) size() int64 { return s.bytes + sealSize }

// Stats are counts of one moment; all but the first two only grow.
type Stats struct {
	Entries int64
	Bytes   int64  // of the entries' files and seals; what is evicted and still pinned is not in it
	Hits    uint64 // of Get
	Misses  uint64 // of Get, whatever the reason
	Damaged uint64 // entries removed because they were not as they were put, or of no use
	Evicted uint64 // entries removed to keep the bound
}

func (c *Cache) tmp() string { return filepath.Join(c.dir, tmpName) }

// place returns the folder of entries, or of one.
func (c *Cache) place(elem ...string) string {
	return filepath.Join(append([]string{c.dir, versionName}, elem...)...)
}

// Scratch makes an empty folder in the cache, which Put turns into an entry
// without copying anything. Whoever asks for it gives it to Put or Discard.
func (c *Cache) Scratch() (string, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return "", ErrClosed
	}
	dir, err := os.MkdirTemp(c.tmp(), scratchPrefix)
	if err == nil {
		dir = filepath.Join(dir, filesName)
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("make a folder in the code cache: %w", err)
	}
	return dir, nil
}

// scratchParent returns the folder in which Scratch made scratch.
func (c *Cache) scratchParent(scratch string) (string, error) {
	parent := filepath.Dir(scratch)
	if filepath.Base(scratch) != filesName || filepath.Dir(parent) != c.tmp() {
		return "", fmt.Errorf("%s is no folder that the code cache made", scratch)
	}
	return parent, nil
}

// Discard removes what Scratch made, if Put has not taken it.
func (c *Cache) Discard(scratch string) {
	parent, err := c.scratchParent(scratch)
	if err == nil {
		err = os.RemoveAll(parent)
	}
	if err != nil {
		c.log.Warn("a folder of the code cache could not be removed", "error", err)
	}
}

// Put makes the folder that Scratch returned the entry of key, in place of one
// that may be there, and evicts what was not used for longest if the cache has
// become too large. Nobody may write to the folder any more. If there is an
// error (ErrClosed, ErrUnfit, *TooLargeError, or the disk's) the folder is
// left as it was.
func (c *Cache) Put(key Key, scratch string) error {
	if err := c.put(key, scratch); err != nil {
		return fmt.Errorf("keep compiled code: %w", err)
	}
	return nil
}

func (c *Cache) put(key Key, scratch string) error {
	from, err := c.scratchParent(scratch)
	if err != nil {
		return err
	}
	c.mu.Lock()
	closed, used := c.closed, c.tick()
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	s, err := c.fill(key, from, used)
	if err != nil {
		return err
	}
	c.mu.Lock()
	unused := c.insert(s)
	c.mu.Unlock()
	c.removeAll(unused)
	return nil
}

// fill seals the folder from, whose files are complete, and moves it to its
// place, where nobody knows it yet.
func (c *Cache) fill(key Key, from string, used time.Time) (*stored, error) {
	all, bytes, err := scan(from)
	if err != nil {
		return nil, err
	}
	if bytes > c.bound-sealSize {
		return nil, &TooLargeError{Bytes: bytes + sealSize, Bound: c.bound}
	}
	mac, err := c.secret.seal(key, from, all)
	if err != nil {
		return nil, err
	}
	seal := filepath.Join(from, sealName)
	if err := writeNew(seal, mac); err != nil {
		return nil, err
	}
	s := &stored{key: key, dir: c.place(entryName(key, from)), bytes: bytes, used: used, saved: used}
	err = os.Chtimes(seal, used, used)
	if err == nil {
		err = os.Rename(from, s.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(seal))
	}
	return s, nil
}

// entryName names the folder of an entry that was made in the folder from.
func entryName(key Key, from string) string {
	return hex.EncodeToString(key[:]) + "-" + filepath.Base(from)[len(scratchPrefix):]
}

// tick returns the time of a use, which is later than that of any before: the
// order must not depend on how fine the clock is. The caller holds mu.
func (c *Cache) tick() time.Time {
	now := time.Now().Round(0)
	if !now.After(c.clock) {
		now = c.clock.Add(1)
	}
	c.clock = now
	return now
}

// insert makes s the entry of its key and the one used last, and returns the
// folders that nobody needs any more. The caller holds mu, and removes them
// without it.
func (c *Cache) insert(s *stored) (unused []string) {
	drop := func(s *stored) {
		if c.drop(s) {
			unused = append(unused, s.dir)
		}
	}
	if old := c.entries[s.key]; old != nil {
		drop(old)
	}
	c.entries[s.key] = s
	s.place = c.order.PushFront(s)
	c.stats.Entries++
	c.stats.Bytes += s.size()
	for c.stats.Bytes > c.bound {
		last, _ := c.order.Back().Value.(*stored) // nothing else is in it
		drop(last)
		c.stats.Evicted++
	}
	return unused
}

// drop takes an entry out of the cache and reports whether its folder can be
// removed at once. The caller holds mu.
func (c *Cache) drop(s *stored) (unused bool) {
	delete(c.entries, s.key)
	c.order.Remove(s.place)
	s.place = nil
	c.stats.Entries--
	c.stats.Bytes -= s.size()
	return s.pins == 0
}

// remove removes an entry's folder, moving it away first: what is in its place
// after a crash is whole.
func (c *Cache) remove(dir string) {
	away := filepath.Join(c.tmp(), filepath.Base(dir))
	if os.Rename(dir, away) != nil {
		away = dir
	}
	if err := os.RemoveAll(away); err != nil {
		c.log.Warn("an entry of the code cache could not be removed", "error", err)
	}
}

func (c *Cache) removeAll(dirs []string) {
	for _, dir := range dirs {
		c.remove(dir)
	}
}

// Entry is an entry that is held: its folder stays, unchanged, until Close.
type Entry struct {
	cache  *Cache
	stored *stored
	closed atomic.Bool
}

// Dir is the folder with what was put. Nothing may be written to it.
func (e *Entry) Dir() string { return filepath.Join(e.stored.dir, filesName) }

// Close lets the entry go. Closing it again does nothing.
func (e *Entry) Close() {
	if !e.closed.Swap(true) {
		e.cache.unpin(e.stored)
	}
}

// Reject takes the entry out of the cache, as one that was damaged: its bytes
// are those that were put, but they are of no use. It is still held until
// Close.
func (e *Entry) Reject() {
	c := e.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.stored.place != nil {
		c.drop(e.stored)
		c.stats.Damaged++
	}
}

// Get returns the entry of key, all of whose bytes it has just checked against
// the seal. An entry that does not match it is removed, and one that could not
// be read is a miss.
func (c *Cache) Get(key Key) (*Entry, bool) {
	s, save := c.pin(key)
	if s == nil {
		return nil, false
	}
	// It can't go away any more.
	if err := c.secret.verify(key, s.dir, s.bytes); err != nil {
		c.missed(s, err)
		return nil, false
	}
	if !save.IsZero() {
		c.save(s.dir, save)
	}
	c.mu.Lock()
	c.stats.Hits++
	c.mu.Unlock()
	return &Entry{cache: c, stored: s}, true
}

// pin finds an entry, holds it, and makes it the one used last. It returns the
// time to save on disk, if it is due.
func (c *Cache) pin(key Key) (s *stored, save time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = c.entries[key]
	if s == nil || c.closed {
		c.stats.Misses++
		return nil, time.Time{}
	}
	s.pins++
	s.used = c.tick()
	c.order.MoveToFront(s.place)
	if s.used.Sub(s.saved) >= saveEvery {
		s.saved = s.used
		save = s.used
	}
	return s, save
}

// missed takes note that the entry s, which is pinned, failed its check.
func (c *Cache) missed(s *stored, err error) {
	c.mu.Lock()
	c.stats.Misses++
	first := damaged(err) && s.place != nil // several may have found it
	if first {
		c.drop(s)
		c.stats.Damaged++
	}
	c.mu.Unlock()
	if first {
		c.log.Warn("an entry of the code cache was damaged and is removed", "entry", s.dir, "error", err)
	} else if !damaged(err) {
		c.log.Warn("an entry of the code cache could not be read", "entry", s.dir, "error", err)
	}
	c.unpin(s)
}

func (c *Cache) unpin(s *stored) {
	c.mu.Lock()
	s.pins--
	unused := s.pins == 0 && s.place == nil
	c.mu.Unlock()
	if unused {
		c.remove(s.dir)
	}
}

// save writes down when an entry was used last. If that fails the order of use
// suffers and nothing else.
func (c *Cache) save(dir string, used time.Time) {
	err := os.Chtimes(filepath.Join(dir, sealName), used, used)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // evicted in between
		c.log.Warn("the use of an entry of the code cache could not be noted", "error", err)
	}
}

// Stats returns the counts of this moment.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Close writes down the order of use and ends Get and Put. Entries that are
// held stay as they are.
func (c *Cache) Close() {
	type use struct {
		dir  string
		time time.Time
	}
	var uses []use
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		for _, s := range c.entries {
			if s.used.After(s.saved) {
				uses = append(uses, use{s.dir, s.used})
			}
		}
	}
	c.mu.Unlock()
	for _, u := range uses {
		c.save(u.dir, u.time)
	}
}
