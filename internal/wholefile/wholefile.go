package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write gives the file at path that content; perm are the permissions of one that
// is new. Of links, what they lead to is written. What is there and no file, like a
// device, is written to as it is. Errors of the file system are *fs.PathError with
// the file's name; the file is as it was then.
func Write(path string, content []byte, perm fs.FileMode) (err error) {
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() { // a pipe's link leads nowhere by its text
			return os.WriteFile(path, content, perm)
		}
		perm = info.Mode().Perm()
	}
	if path, err = behindLinks(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".pappus-")
	if err != nil {
		return named("create", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(perm), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(named("write", path, err), os.Remove(f.Name()))
	}
	return nil
}

// named is an error with the name of the file that it is about to the caller.
func named(op, path string, err error) error {
	var inner syscall.Errno
	if errors.As(err, &inner) {
		err = inner
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// behindLinks is where a path leads to, whether or not something is there.
func behindLinks(path string) (string, error) {
	const most = 40 // as many as Linux follows
	to := path
	for range most {
		next, err := os.Readlink(to)
		if err != nil {
			return to, nil //nolint:nilerr // it is no link
		}
		if !filepath.IsAbs(next) {
			next = filepath.Dir(to) + "/" + next // Join would take .. for what is before a link
		}
		to = next
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}
