package registry

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"pappus/data"
)

// Open opens or makes the data directory dir. It fails with ErrLocked if
// another process has it open, with ErrFormat if a later version made it, and
// with ErrDamaged if its records can't be read or are missing where there is
// code. What a killed process left unfinished is removed.
func Open(dir string, opts Options) (*Registry, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.LockWait == 0 {
		opts.LockWait = time.Second
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	db, err := openRecords(filepath.Join(dir, "registry.db"), filepath.Join(dir, "code"), opts.LockWait)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		db:      db,
		files:   files{dir: dir},
		cache:   newCache(),
		log:     opts.Log,
		now:     opts.Now,
		pending: map[pendingCode]int{},
	}
	if err := errors.Join(guarded(r.checkFormat), r.files.syncFolder(dir)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := guarded(r.recover); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

// openRecords opens the database at path, and reads all of it once, since bbolt
// finds damage only where it happens to look. Code without records would be
// taken for what a killed process left, and be removed: a database that is new
// while there is code was lost.
func openRecords(path, code string, lockWait time.Duration) (db *bbolt.DB, err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		if entries, err := os.ReadDir(code); err == nil && len(entries) > 0 {
			return nil, fmt.Errorf("%w: %s is missing or empty, and there is code that it should tell of in %s", ErrDamaged, path, code)
		}
	}
	err = guarded(func() error {
		if db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait}); err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return readAll(b) })
		})
	})
	var system *fs.PathError
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	case errors.As(err, &system), errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("open %s: %w", path, err)
	default:
		return nil, fmt.Errorf("open %s: %w: %w", path, ErrDamaged, err)
	}
}

// readAll touches every key and value of a bucket.
func readAll(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if nested := b.Bucket(k); nested != nil {
			return readAll(nested)
		}
		crc32.ChecksumIEEE(v)
		return nil
	})
}

// guarded makes ErrDamaged of what bbolt does about a damaged file: it panics,
// or reads beyond the end of the mapped file.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, cause)
		}
	}()
	return f()
}

func (r *Registry) checkFormat() error {
	return r.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("make bucket %s: %w", name, err)
			}
		}
		meta := tx.Bucket(bucketMeta)
		switch have := string(meta.Get(keyFormat)); have {
		case "":
			return meta.Put(keyFormat, strconv.AppendInt(nil, formatFunctions, 10))
		case strconv.Itoa(formatFunctions), strconv.Itoa(formatCompositions), strconv.Itoa(formatIO):
			return nil
		default:
			return fmt.Errorf("%w: it has format %.20q, this version reads %d to %d", ErrFormat, have, formatFunctions, formatIO)
		}
	})
}

// recover removes code that no version refers to, reports code that is missing
// or has another size, and refuses a composition that can't be read.
func (r *Registry) recover() error {
	return r.db.View(func(tx *bbolt.Tx) error {
		rec := records{tx}
		have := map[pendingCode]int64{}
		removed := 0
		err := r.files.recover(func(tenant string, d data.Digest, size int64) bool {
			if rec.used(tenant, d) {
				have[pendingCode{tenant, d}] = size
				return false
			}
			removed++
			return true
		})
		if err != nil {
			return err
		}
		if removed > 0 {
			r.log.Info("removed code that no version refers to", "files", removed)
		}
		return tx.Bucket(bucketVersions).ForEach(func(_, b []byte) error {
			v, err := decodeVersion(b)
			if err != nil {
				return err
			}
			if err := rec.load(v); err != nil {
				return err
			}
			for _, code := range v.Code {
				if size, ok := have[pendingCode{v.Tenant, code.Digest}]; !ok || size != code.Size {
					r.log.Error("code is missing or has another size; push it again",
						"function", v.Name, "version", v.Number, "code", code.Digest.String())
				}
			}
			return nil
		})
	})
}
