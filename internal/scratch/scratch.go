package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockFile is the file in a folder whose lock says that it is in use.
const lockFile = ".in-use"

// Dir is a folder of this process.
type Dir struct {
	Path string
	lock *os.File
}

// New makes a folder within parent ("": where temporary files belong), whose name
// is prefix and something that no other has. Before that it removes those of the
// same prefix whose processes are gone. What can't be removed stays, as does what
// is a link, of another user, or in use.
func New(parent, prefix string) (*Dir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	Sweep(parent, prefix)
	const attempts = 10
	for range attempts {
		path, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			return nil, err
		}
		lock, err := hold(path)
		switch {
		case err == nil:
			return &Dir{path, lock}, nil
		case !errors.Is(err, errSwept):
			return nil, errors.Join(err, os.Remove(path))
		}
	}
	return nil, fmt.Errorf("%s: folders that are made there are removed at once", parent)
}

// Remove removes the folder with all that is in it.
func (d *Dir) Remove() error { return errors.Join(d.removeAll(), d.lock.Close()) }

// removeAll removes the lock last: whoever sweeps needs it to know what was left
// by a process that ended meanwhile.
func (d *Dir) removeAll() error {
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = removeIn(root)
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	return os.RemoveAll(d.Path)
}

// removeIn removes what is in a folder but its lock, and then that.
func removeIn(dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile {
			continue
		}
		if err := dir.RemoveAll(e.Name()); err != nil {
			return err // the lock stays, and so whoever comes next can try again
		}
	}
	if err := dir.Remove(lockFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// errSwept says that somebody took a new folder for one that was left.
var errSwept = errors.New("the folder was swept")

// hold locks a new folder.
func hold(path string) (*os.File, error) {
	dir, err := os.OpenRoot(path)
	if err == nil {
		defer dir.Close() // it was only used to open
		var lock *os.File
		if lock, err = dir.OpenFile(lockFile, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
			if !take(lock) {
				return nil, errors.Join(errSwept, lock.Close())
			}
			return lock, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSwept
	}
	return nil, err
}

// take locks a file without waiting. It fails too if the file was removed
// meanwhile: a lock on it would tell nobody anything.
func take(lock *os.File) bool {
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false
	}
	info, err := lock.Stat()
	if err != nil {
		return false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && status.Nlink > 0
}

// Sweep removes the folders of a prefix within parent that processes left, as New
// does. There is nobody to be told of what goes wrong, and nothing depends on it.
func Sweep(parent, prefix string) {
	root, err := os.OpenRoot(parent)
	if err != nil {
		return
	}
	defer root.Close() // it was only looked at
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.IsDir() {
			sweepOne(root, e.Name())
		}
	}
}

// unlocked is how long a folder may be without a lock, between the moment when it
// is made and that when it is locked.
const unlocked = time.Hour

// sweepOne removes a folder if it is this user's and nobody holds its lock.
func sweepOne(root *os.Root, name string) {
	seen, err := root.Lstat(name)
	if err != nil || !mine(seen) {
		return
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return
	}
	defer dir.Close() // it was only looked at, or is gone
	// What has that name now may be another one, reached by a link.
	if opened, err := dir.Stat("."); err != nil || !os.SameFile(seen, opened) {
		return
	}
	what, err := dir.Lstat(lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		if time.Since(seen.ModTime()) > unlocked {
			_ = root.Remove(name) // which fails if there is anything in it
		}
		return
	}
	if err != nil || !what.Mode().IsRegular() {
		return
	}
	lock, err := dir.OpenFile(lockFile, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer lock.Close() // nothing was written
	if is, err := lock.Stat(); err != nil || !os.SameFile(what, is) || !take(lock) {
		return
	}
	if removeIn(dir) == nil {
		_ = root.Remove(name)
	}
}

// mine tells of folders that belong to the user of this process.
func mine(info fs.FileInfo) bool {
	status, ok := info.Sys().(*syscall.Stat_t)
	return info.IsDir() && ok && int64(status.Uid) == int64(os.Geteuid())
}
