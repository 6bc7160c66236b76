package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"pappus/internal/filelock"
	"pappus/internal/scratch"
)

// ErrForeignCache says that the cache folder is not this user's: whoever owns it
// could change what is built.
var ErrForeignCache = errors.New("the cache folder belongs to another user")

// ownCache makes the cache folder, which nobody but its user may look into.
func (b *Builder) ownCache() error {
	const private = 0o700
	if err := os.MkdirAll(b.Cache, private); err != nil {
		return err
	}
	info, err := os.Stat(b.Cache)
	if err != nil {
		return err
	}
	if status, ok := info.Sys().(*syscall.Stat_t); !ok || int64(status.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("%s: %w", b.Cache, ErrForeignCache)
	}
	if info.Mode().Perm() != private {
		return os.Chmod(b.Cache, private)
	}
	return nil
}

// unpacking begins the names of folders where SDKs are unpacked.
const unpacking = ".unpacking-"

// unpack gives the folder of a language's SDK in the cache, and one beside it for
// what is made of it. The first has its digest in its name, so that another
// version of this program has another one, and holds what this program has and
// nothing else: what is there is compared, and replaced if it differs.
func (b *Builder) unpack(ctx context.Context, l *Language) (dir, made string, err error) {
	digest, err := digestOf(l.SDK)
	if err != nil {
		return "", "", err
	}
	if err := b.ownCache(); err != nil {
		return "", "", err
	}
	// Two that replace it would take away what the other has put there.
	unlock, err := filelock.Take(ctx, filepath.Join(b.Cache, ".lock"))
	if err != nil {
		return "", "", err
	}
	defer unlock()
	dir = filepath.Join(b.Cache, l.Name+"-"+digest)
	made = dir + "-made"
	if err := os.Mkdir(made, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", "", err
	}
	sweepMaking(made)
	scratch.Sweep(b.Cache, unpacking)
	if same, err := holds(dir, l.SDK); err != nil || same {
		return dir, made, err
	}
	temp, err := scratch.New(b.Cache, unpacking)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, temp.Remove()) }()
	whole := filepath.Join(temp.Path, "sdk")
	if err := os.CopyFS(whole, l.SDK); err != nil {
		return "", "", err
	}
	open(dir)
	// What is wrong goes, with what was made of it.
	for i, wrong := range []string{dir, made} {
		if err := os.Rename(wrong, filepath.Join(temp.Path, fmt.Sprint("wrong", i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
	}
	return dir, made, errors.Join(os.Mkdir(made, 0o700), os.Rename(whole, dir))
}

// open lets its user into a folder and those in it, so that it can be moved and
// removed. Where that is not so, doing it says why.
func open(dir string) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
}

// digestOf is a digest of names and contents.
func digestOf(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		_, _ = fmt.Fprintf(h, "%q %d\n%s", name, len(content), content) // a hash takes everything
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:6]), err
}

// errDiffers ends a comparison.
var errDiffers = errors.New("it differs")

// holds reports whether a folder holds those files and nothing else, neither
// links nor folders.
func holds(dir string, files fs.FS) (bool, error) {
	want := map[string]bool{} // paths, whether they are folders
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			want[name] = e.IsDir()
		}
		return err
	})
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer root.Close() // it was only read
	found := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder, known := want[name]
		if !known || folder != e.IsDir() || !folder && !e.Type().IsRegular() {
			return errDiffers
		}
		found++
		if folder {
			return nil
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return sameFile(root, name, content)
	})
	if errors.Is(err, errDiffers) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	return err == nil && found == len(want), err
}

// sameFile compares a file, of which it reads no more than it should have.
func sameFile(root *os.Root, name string, want []byte) error {
	f, err := root.OpenFile(filepath.FromSlash(path.Clean(name)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errDiffers
	}
	return nil
}
