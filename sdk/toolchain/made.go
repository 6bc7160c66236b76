package toolchain

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// making begins the names of files that are being made.
const making = ".making-"

// digestSuffix is what the file with a made file's digest has after its name.
const digestSuffix = ".sha256"

// isWhole reports whether a file is there as it was made: what is in the cache may
// have been damaged, or be something else.
func isWhole(path string) bool {
	want, err := digestOfFile(path)
	if err != nil {
		return false
	}
	f, err := openRegular(path + digestSuffix)
	if err != nil {
		return false
	}
	defer f.Close() // it was only read
	got, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	return err == nil && string(got) == want
}

// keep gives a file that was made its name, and keeps its digest beside it. A
// process that ends in between leaves what is made again.
func keep(temp, path string) error {
	digest, err := digestOfFile(temp)
	if err != nil {
		return err
	}
	said, err := emptyFile(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(said) }() // it has another name by now, or is of no use
	if err := os.WriteFile(said, []byte(digest), 0o600); err != nil {
		return err
	}
	for from, to := range map[string]string{temp: path, said: path + digestSuffix} {
		if info, err := os.Lstat(to); err == nil && info.IsDir() { // which no file can take the place of
			if err := os.RemoveAll(to); err != nil {
				return err
			}
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	return nil
}

func digestOfFile(path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // it was only read
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// openRegular opens a regular file, and neither what a link leads to nor a pipe,
// which would wait for somebody who writes.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrNoFile}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// longestStep is longer than any step takes.
const longestStep = 24 * time.Hour

// sweepMaking removes what processes that were killed had begun to make. There is
// nobody to be told of what goes wrong, and nothing depends on it.
func sweepMaking(dir string) {
	left, err := filepath.Glob(filepath.Join(dir, making+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > longestStep {
			_ = os.Remove(path)
		}
	}
}
