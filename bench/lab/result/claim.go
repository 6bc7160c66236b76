package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A Claim is a folder that results will be written to. Until then it has another
// name, so that what stands under its own is whole.
type Claim struct {
	Folder     string
	unfinished *os.File // the folder under its other name, locked
}

// NewClaim claims the folder, or if there are results in it or another run claimed
// it, the first with a number behind its name that is free. What a run left that
// has ended is replaced. The caller closes the claim.
func NewClaim(folder string) (*Claim, error) {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of results: %w", err)
	}
	name := folder
	for n := 2; ; n++ {
		_, err := os.Lstat(name)
		if err == nil {
			name = fmt.Sprintf("%s-%d", folder, n)
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for results: %w", err)
		}
		c, err := claim(name)
		if err != nil {
			return nil, fmt.Errorf("claim a folder for results: %w", err)
		}
		if c != nil {
			return c, nil
		}
		name = fmt.Sprintf("%s-%d", folder, n)
	}
}

// claim is nil if another run has the folder.
func claim(folder string) (_ *Claim, err error) {
	name := folder + ".tmp" // as .gitignore names it
	if err := os.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	free, err := lock(f)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, f.Close()
	}
	left, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	for _, e := range left { // by a run that ended before it was done
		if err := os.RemoveAll(filepath.Join(name, e.Name())); err != nil {
			return nil, err
		}
	}
	return &Claim{folder, f}, nil
}

// Write writes the document and the other files, which are given by name, and
// gives the folder its name. If it fails, there is no such folder.
func (c *Claim) Write(r *Result, others map[string][]byte) error {
	document, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	files := maps.Clone(others)
	if files == nil {
		files = map[string][]byte{}
	}
	files[File] = append(document, '\n')
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(c.unfinished.Name(), name), files[name], 0o644); err != nil {
			return err
		}
	}
	return os.Rename(c.unfinished.Name(), c.Folder)
}

// Close ends the claim. What was not written is gone.
func (c *Claim) Close() error {
	return errors.Join(os.RemoveAll(c.unfinished.Name()), c.unfinished.Close())
}
