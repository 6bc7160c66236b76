package registry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"pappus/data"
)

// files keeps code in a folder, a file per digest and tenant:
//
//	code/TENANT/ab/abcd…   the bytes whose SHA-256 is abcd…
//	tmp/                   files that are being written
//
// A file that is there under its digest is complete.
type files struct {
	dir     string
	durable sync.Map // the folders, by path, that were synced into their parents

	// before is called before each step that reads code or changes the disk, with
	// the step's name. Tests make it fail.
	before func(step string) error
}

func (f *files) step(name string) error {
	if f.before == nil {
		return nil
	}
	if err := f.before(name); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (f *files) tmp() string { return filepath.Join(f.dir, "tmp") }

func (f *files) path(tenant string, d data.Digest) string {
	hex := d.Hex()
	return filepath.Join(f.dir, "code", tenant, hex[:2], hex)
}

// write stores code under its digest, durably: when it returns without error
// the file survives a crash. Code that is there already is not written again.
func (f *files) write(tenant string, d data.Digest, code []byte) (err error) {
	path := f.path(tenant, d)
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	// Reading it again makes a push repair a damaged file.
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, code) {
		// Whoever wrote it may not have synced the folder yet.
		return f.syncFolder(filepath.Dir(path))
	}
	if err := f.step("create"); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(f.tmp(), "code-")
	if err != nil {
		return fmt.Errorf("store code: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary.Name())))
		}
	}()
	if err := f.fill(temporary, code); err != nil {
		return fmt.Errorf("store code: %w", err)
	}
	if err := f.step("rename"); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("store code: %w", err)
	}
	return f.syncFolder(filepath.Dir(path))
}

// fill writes, syncs and closes a file.
func (f *files) fill(file *os.File, code []byte) error {
	err := f.step("write")
	if err == nil {
		_, err = file.Write(code)
	}
	if err == nil {
		err = f.step("sync")
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// makeFolder makes a folder and those above it, each durable in its parent. Of one
// that is there that is known only once its parent was synced here: another push
// may not have come to that yet, and a process may have been killed before it.
func (f *files) makeFolder(dir string) error {
	if dir == f.dir {
		return nil
	}
	if _, known := f.durable.Load(dir); known {
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
	}
	parent := filepath.Dir(dir)
	if err := f.makeFolder(parent); err != nil {
		return err
	}
	if err := f.step("mkdir"); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a folder: %w", err)
	}
	if err := f.syncFolder(parent); err != nil {
		return err
	}
	f.durable.Store(dir, struct{}{})
	return nil
}

func (f *files) syncFolder(dir string) error {
	if err := f.step("sync folder"); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync a folder: %w", err)
	}
	return nil
}

// read returns code and checks it against its digest. It fails with ErrDamaged
// if the file is missing or holds something else.
func (f *files) read(tenant string, d data.Digest) ([]byte, error) {
	if err := f.step("read"); err != nil {
		return nil, err
	}
	code, err := os.ReadFile(f.path(tenant, d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the code %s is missing", ErrDamaged, d)
	}
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	if sha256.Sum256(code) != d {
		return nil, fmt.Errorf("%w: the code %s has other content", ErrDamaged, d)
	}
	return code, nil
}

// remove deletes code. Removing what is not there is no error.
func (f *files) remove(tenant string, d data.Digest) error {
	if err := f.step("remove"); err != nil {
		return err
	}
	if err := ignoreMissing(os.Remove(f.path(tenant, d))); err != nil {
		return fmt.Errorf("remove code: %w", err)
	}
	return nil
}

// recover empties the folder of temporary files and calls found for every
// file of code; it removes those for which found says so.
func (f *files) recover(found func(tenant string, d data.Digest, size int64) (remove bool)) error {
	if err := os.RemoveAll(f.tmp()); err != nil {
		return fmt.Errorf("remove temporary files: %w", err)
	}
	for _, dir := range []string{f.tmp(), filepath.Join(f.dir, "code")} {
		if err := f.makeFolder(dir); err != nil {
			return err
		}
	}
	root := filepath.Join(f.dir, "code")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		tenant := filepath.Base(filepath.Dir(filepath.Dir(path)))
		d, err := data.ParseDigest(data.DigestPrefix + entry.Name())
		if err != nil || f.path(tenant, d) != path {
			return nil // not ours: leave it alone
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if found(tenant, d, info.Size()) {
			return os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the folder of code: %w", err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
