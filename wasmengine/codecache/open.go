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
	"slices"
	"strings"
)

// Names in a cache's folder.
const (
	tmpName     = "tmp"
	versionName = "v1" // the format's version

	scratchPrefix = "scratch-"
)

// Open opens the cache in the folder dir, or makes it, and removes what a
// crash left half done. Entries are looked at but not read: Get checks them.
// If the key of the seals is missing, or not one that only the folder's owner
// could know, there is a new one and no entry is kept.
func Open(dir string, o Options) (*Cache, error) {
	if o.Bytes == 0 {
		o.Bytes = DefaultBytes
	}
	if o.Bytes < 0 {
		return nil, fmt.Errorf("code cache: the bound %d can't be negative", o.Bytes)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the code cache: %w", err)
	}
	c := &Cache{dir: dir, bound: o.Bytes, log: o.Log, entries: make(map[Key]*stored), order: list.New()}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("open the code cache: %w", err)
	}
	return c, nil
}

func (c *Cache) open() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(c.tmp()); err != nil {
		// It takes room, but is in nobody's way.
		c.log.Warn("leftovers in the code cache could not be removed", "error", err)
	}
	if err := makeFolder(c.tmp()); err != nil {
		return err
	}
	s, err := readSecret(c.dir)
	if missingOrUnfit(err) {
		if errors.Is(err, ErrUnfit) {
			c.log.Warn("the code cache gets a new key and begins empty", "error", err)
		}
		// Entries first: none may be older than the key.
		if err = os.RemoveAll(c.place()); err == nil {
			s, err = writeSecret(c.dir, c.tmp())
		}
	}
	if err != nil {
		return err
	}
	c.secret = s
	if err := makeFolder(c.place()); err != nil {
		return err
	}
	return c.recover()
}

func makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// recover finds the entries on disk, in the order of their use, and keeps the
// bound, which may be another than the last time. Nobody else knows the cache
// yet.
func (c *Cache) recover() error {
	found, err := os.ReadDir(c.place())
	if err != nil {
		return err
	}
	var entries []*stored
	for _, d := range found {
		key, ok := keyOf(d.Name())
		if !ok {
			continue // not ours: leave it alone
		}
		s := &stored{key: key, dir: c.place(d.Name())}
		if err := s.look(); err != nil {
			c.stats.Damaged++
			c.log.Warn("an entry of the code cache was damaged and is removed", "entry", s.dir, "error", err)
			c.remove(s.dir)
			continue
		}
		if s.size() > c.bound { // it would make all others go, in vain
			c.stats.Evicted++
			c.remove(s.dir)
			continue
		}
		entries = append(entries, s)
	}
	slices.SortFunc(entries, func(a, b *stored) int {
		if order := a.used.Compare(b.used); order != 0 {
			return order
		}
		return strings.Compare(a.dir, b.dir)
	})
	for _, s := range entries {
		c.clock = s.used
		// Of two entries of one key, which a crash may leave, the later stays.
		c.removeAll(c.insert(s))
	}
	return nil
}

// keyOf reads the key from the name of an entry's folder.
func keyOf(name string) (key Key, ok bool) {
	digits, number, ok := strings.Cut(name, "-")
	if !ok || len(digits) != 2*len(key) || strings.Trim(digits, "0123456789abcdef") != "" ||
		number == "" || strings.Trim(number, "0123456789") != "" {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(digits))
	return key, err == nil
}

// look finds out how large an entry is and when it was used last.
func (s *stored) look() error {
	_, bytes, err := scan(s.dir)
	if err != nil {
		return err
	}
	info, err := os.Lstat(filepath.Join(s.dir, sealName))
	if err != nil {
		return err
	}
	s.bytes, s.used, s.saved = bytes, info.ModTime(), info.ModTime()
	return nil
}
