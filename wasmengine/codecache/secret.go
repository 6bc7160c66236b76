package codecache

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyName is the file that holds the secret.
const keyName = "key"

// A secret is the key of the seals.
type secret [32]byte

// readSecret reads the secret of a cache. The error is fs.ErrNotExist if there
// is none, and ErrUnfit if there is one that can't be trusted.
func readSecret(dir string) (*secret, error) {
	path := filepath.Join(dir, keyName)
	content, info, err := readExactly(path, len(secret{}))
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others than its owner may use the file %s", ErrUnfit, keyName)
	}
	return (*secret)(content), nil
}

// writeSecret makes a new secret, durably: entries are kept for as long as it is.
func writeSecret(dir, tmp string) (s *secret, err error) {
	s = new(secret)
	if _, err := rand.Read(s[:]); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(tmp, keyName+"-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(s[:])
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, keyName)); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return s, errors.Join(d.Sync(), d.Close())
}

// missingOrUnfit reports whether a new secret is the answer to an error of readSecret.
func missingOrUnfit(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnfit)
}
