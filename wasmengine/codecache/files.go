package codecache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names in an entry's folder.
const (
	filesName = "files"
	sealName  = "seal"
)

// sealSize is the length of a seal in bytes.
const sealSize = sha256.Size

// Bounds of any entry, before all others: sums of sizes can't overflow, and
// empty files, which count no bytes, can't become many.
const (
	maxBytes = 1 << 62
	maxNames = 1000
)

// ErrUnfit is returned by Put for a folder that can't be an entry: it holds
// something that is neither a regular file nor a folder, or too many of them,
// or changes while it is read.
var ErrUnfit = errors.New("not fit to be kept")

// plain is a file or folder below an entry's folder.
type plain struct {
	name   string // relative, with slashes
	folder bool
	size   int64
}

// scan returns what an entry's folder holds besides its seal, in a fixed
// order, and how many bytes. The error is ErrUnfit if an entry can't be like
// that.
func scan(dir string) (all []plain, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case name == sealName, name == "." && d.IsDir():
			return nil // readExactly sees to it that the seal is a file
		case name == ".", !d.IsDir() && !d.Type().IsRegular():
			return fmt.Errorf("%w: %q is neither a regular file nor a folder", ErrUnfit, name)
		case filepath.Dir(name) == "." && (name != filesName || !d.IsDir()):
			return fmt.Errorf("%w: %q has no place in it", ErrUnfit, name)
		}
		p := plain{name: filepath.ToSlash(name), folder: d.IsDir()}
		if !p.folder {
			info, err := d.Info()
			if err != nil {
				return err
			}
			p.size = info.Size()
		}
		if p.size > maxBytes-bytes || len(all) == maxNames {
			return fmt.Errorf("%w: it holds too much", ErrUnfit)
		}
		all = append(all, p)
		bytes += p.size
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: its folder %q is missing", ErrUnfit, filesName)
	}
	return all, bytes, err
}

// seal computes the MAC over an entry's key and what scan returned of its
// folder. Every part has a fixed length or its length before it, so that no
// two entries have the same bytes under the MAC.
func (s *secret) seal(key Key, dir string, all []plain) ([]byte, error) {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte("pappus code cache 1\x00"))
	mac.Write(key[:])
	largest := int64(1)
	for _, p := range all {
		largest = max(largest, p.size)
	}
	buffer := make([]byte, min(largest, 32<<10))
	for _, p := range all {
		head := []byte{'f'}
		if p.folder {
			head[0] = 'd'
		}
		head = binary.BigEndian.AppendUint64(head, uint64(len(p.name)))
		head = append(head, p.name...)
		head = binary.BigEndian.AppendUint64(head, uint64(p.size))
		mac.Write(head)
		if p.folder {
			continue
		}
		if err := feed(mac, filepath.Join(dir, filepath.FromSlash(p.name)), p.size, buffer); err != nil {
			return nil, err
		}
	}
	return mac.Sum(nil), nil
}

// feed writes the bytes of a file to mac.
func feed(mac hash.Hash, path string, size int64, buffer []byte) (err error) {
	f, err := openPlain(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.CopyBuffer(mac, io.LimitReader(f, size+1), buffer)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: %s does not have the length it had", ErrUnfit, filepath.Base(path))
	}
	return nil
}

// openPlain opens a regular file for reading. It follows no symbolic link and
// waits for no writer of a pipe.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %s is a symbolic link", ErrUnfit, filepath.Base(path))
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a regular file", ErrUnfit, filepath.Base(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readExactly reads a regular file that must have size bytes.
func readExactly(path string, size int) (content []byte, info fs.FileInfo, err error) {
	f, err := openPlain(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	content = make([]byte, size+1)
	n, err := io.ReadFull(f, content)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if n != size {
		return nil, nil, fmt.Errorf("%w: %s does not have %d bytes", ErrUnfit, filepath.Base(path), size)
	}
	return content[:size], info, nil
}

// verify checks an entry's folder, which must hold the given number of bytes
// besides its seal, against its seal.
func (s *secret) verify(key Key, dir string, bytes int64) error {
	all, have, err := scan(dir)
	if err != nil {
		return err
	}
	if have != bytes {
		// Known without reading what may have become huge.
		return fmt.Errorf("%w: %d bytes have become %d", ErrUnfit, bytes, have)
	}
	said, _, err := readExactly(filepath.Join(dir, sealName), sealSize)
	if err != nil {
		return err
	}
	is, err := s.seal(key, dir, all)
	if err != nil {
		return err
	}
	if !hmac.Equal(said, is) {
		return fmt.Errorf("%w: the seal does not match", ErrUnfit)
	}
	return nil
}

// damaged reports whether err of verify says something about the entry, and
// not about a moment in which it could not be read.
func damaged(err error) bool {
	return errors.Is(err, ErrUnfit) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// writeNew makes a file that is not there yet.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
