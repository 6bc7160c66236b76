package memo

import (
	"cmp"
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// openDisk opens the tier and starts its goroutine. Options can be wrong; what
// is wrong with the disk turns the tier off instead.
func openDisk(o DiskOptions, log *slog.Logger, dead func(scope, uint64) bool) (*disk, error) {
	if o.Bytes == 0 {
		o.Bytes = defaultDisk
	}
	if o.Bytes < diskShare*blockSize {
		return nil, fmt.Errorf("memo: %d bytes of disk; the least is %d", o.Bytes, diskShare*blockSize)
	}
	if o.MinRun < 0 || o.MaxAge < 0 {
		return nil, errors.New("memo: times of the disk tier can't be negative")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("memo: %w", err)
	}
	d := &disk{
		dir: dir, bound: o.Bytes,
		minRun: cmp.Or(o.MinRun, defaultMinRun), maxAge: cmp.Or(o.MaxAge, defaultMaxAge),
		log: log, dead: dead,
		write:   func(path string, b []byte) error { return os.WriteFile(path, b, 0o600) },
		queue:   make(chan *entry, maxQueue),
		purges:  make(chan purge),
		done:    make(chan struct{}),
		entries: make(map[name]*list.Element),
		order:   list.New(),
	}
	if err := d.open(); err != nil {
		d.fail(err)
	}
	go d.serve()
	return d, nil
}

func (d *disk) open() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(d.tmp()); err != nil {
		return err
	}
	if err := os.Mkdir(d.tmp(), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(d.dir, earlierName)); err != nil {
		return err
	}
	s, fresh, err := readSecret(d.dir)
	if fresh {
		// Entries first: none may be older than the secret.
		if err = os.RemoveAll(d.folder()); err == nil {
			s, err = writeSecret(d.dir)
		}
	}
	if err != nil {
		return err
	}
	d.secret = s
	if err := os.Mkdir(d.folder(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	found, err := d.scan()
	if err != nil {
		return err
	}
	for _, f := range found {
		d.insert(f) // nobody else knows it yet
	}
	for _, f := range d.makeRoom(0, time.Now()) {
		d.remove(f)
	}
	return nil
}

// scan finds the entries on disk, in the order of their use. They are looked at,
// not read: get checks them.
func (d *disk) scan() (found []*file, err error) {
	err = eachName(d.folder(), func(tenant name) error {
		return eachName(d.folder(tenant), func(code name) error {
			return eachName(d.folder(tenant, code), func(key name) error {
				f := &file{tenant: tenant, code: code, name: key}
				info, err := os.Lstat(d.path(f))
				if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
					return nil
				}
				if err != nil {
					return err
				}
				f.size, f.used, f.saved = info.Size(), info.ModTime(), info.ModTime()
				found = append(found, f)
				return nil
			})
		})
	})
	slices.SortFunc(found, func(a, b *file) int {
		return cmp.Or(a.used.Compare(b.used), slices.Compare(a.name[:], b.name[:]))
	})
	return found, err
}

// eachName visits what is in a folder and has a name of the right form. What
// has not is not ours, and is left alone.
func eachName(dir string, visit func(name) error) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, item := range list {
		var n name
		b, err := hex.DecodeString(item.Name())
		if err != nil || len(b) != len(n) || hex.EncodeToString(b) != item.Name() {
			continue
		}
		copy(n[:], b)
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}
