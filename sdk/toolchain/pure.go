package toolchain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"pappus/sdk/purify"
)

// manifestFile is where a project says what its function takes and gives, in a
// language that can't say it in its sources.
const manifestFile = "pappus.json"

// finishPure makes a pure function of a program that was built for WASI.
func finishPure(module []byte, b *Build) ([]byte, error) {
	var o purify.Options
	manifest, err := os.ReadFile(filepath.Join(b.Dir, manifestFile))
	switch {
	case err == nil:
		o.Manifest = manifest
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return purify.Purify(module, o)
}
