//go:build !wasip1

package pappus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Case is a case folder: inputs in in/SET/ITEM, and what must come of them in
// out/SET/ITEM or, with keys, in case.json.
type Case struct {
	Inputs  Inputs
	Outputs Outputs

	// Fault is the fault with which the function must fail, "" if it must not;
	// with "exit" it is ExitCode that it must fail with.
	Fault    string
	ExitCode int
}

// settings is case.json. Limits are the platform's to hold.
type settings struct {
	Keys struct {
		In  map[string]uint32 `json:"in"`
		Out map[string]uint32 `json:"out"`
	} `json:"keys"`
	Limits   json.RawMessage `json:"limits"`
	Fault    string          `json:"fault"`
	ExitCode int             `json:"exit_code"`
}

// ReadCase reads a case folder.
func ReadCase(dir string) (*Case, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read the case: %w", err)
	}
	defer root.Close()
	folder := root.FS()
	var s settings
	text, err := fs.ReadFile(folder, "case.json")
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		err = dec.Decode(&s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "case.json"), err)
	}
	c := &Case{Fault: s.Fault, ExitCode: s.ExitCode}
	if c.ExitCode != 0 {
		c.Fault = "exit"
	}
	in, err := readSets(folder, "in", s.Keys.In)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	out, err := readSets(folder, "out", s.Keys.Out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	c.Inputs, c.Outputs = in, out
	return c, nil
}

// manifestFile is a project's manifest, in the folder of its source. Tests and
// go run . run there.
const manifestFile = "pappus.json"

// ReadManifest adds the input sets that a manifest names and the case has no
// items of: a function gets them without items, and no file says so.
func (c *Case) ReadManifest(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	var manifest struct {
		Inputs []json.RawMessage `json:"inputs"` // names, or objects with a name
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, input := range manifest.Inputs {
		var set struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(input, &set.Name) != nil {
			if err := json.Unmarshal(input, &set); err != nil {
				return fmt.Errorf("%s: inputs: %w", file, err)
			}
		}
		if set.Name == "" {
			return fmt.Errorf("%s: inputs: %.40q has no name", file, input)
		}
		if _, ok := c.Inputs[set.Name]; !ok {
			c.Inputs[set.Name] = nil
		}
	}
	return nil
}

// readProjectCase reads a case folder of the project in the working directory,
// which has a manifest or not.
func readProjectCase(dir string) (*Case, error) {
	c, err := ReadCase(dir)
	if err != nil {
		return nil, err
	}
	if err := c.ReadManifest(manifestFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return c, nil
}

// readSets reads SET/ITEM below a folder, which may be missing.
func readSets(folder fs.FS, dir string, keys map[string]uint32) (map[string][]Item, error) {
	sets := map[string][]Item{}
	entries, err := fs.ReadDir(folder, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sets, nil
	}
	for _, set := range entries {
		sets[set.Name()] = nil
		from := path.Join(dir, set.Name())
		err = errors.Join(err, fs.WalkDir(folder, from, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := fs.ReadFile(folder, file)
			name := strings.TrimPrefix(file, from+"/")
			sets[set.Name()] = append(sets[set.Name()], Item{Name: name, Key: keys[set.Name()+"/"+name], Data: content})
			return err
		}))
		order(sets[set.Name()])
	}
	return sets, err
}

// order puts items in the order in which the platform gives them, and files name
// them.
func order(items []Item) {
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), strings.Compare(a.Name, b.Name))
	})
}

// Run runs a function on the case. The error says how it does not do what the
// case says.
func (c *Case) Run(f Function) error {
	out, err := f(c.Inputs)
	switch {
	case err != nil && c.Fault == "":
		return fmt.Errorf("it failed with exit code %d: %w", codeOf(err), err)
	case err != nil && c.Fault == "exit" && codeOf(err) != c.ExitCode:
		return fmt.Errorf("it failed with exit code %d and not with %d: %w", codeOf(err), c.ExitCode, err)
	case err != nil:
		return nil
	case c.Fault != "":
		return fmt.Errorf("it did not fail, and should with %s", c.Fault)
	}
	return differs(out, c.Outputs)
}

// differs says where outputs are not those that they should be.
func differs(have, want Outputs) error {
	names := maps.Clone(want)
	if names == nil {
		names = Outputs{}
	}
	maps.Copy(names, have)
	for _, set := range slices.Sorted(maps.Keys(names)) {
		has, wants := slices.Clone(have[set]), want[set]
		order(has)
		if len(has) != len(wants) {
			return fmt.Errorf("output %s: %d items instead of %d", set, len(has), len(wants))
		}
		for i, it := range has {
			w := wants[i]
			if it.Name != w.Name || it.Key != w.Key {
				return fmt.Errorf("output %s: item %q with key %d instead of %q with key %d", set, it.Name, it.Key, w.Name, w.Key)
			}
			if at := common(it.Data, w.Data); at < max(len(it.Data), len(w.Data)) {
				return fmt.Errorf("output %s/%s: differs at byte %d: %.40q instead of %.40q", set, it.Name, at, it.Data[at:], w.Data[at:])
			}
		}
	}
	return nil
}

// common is the length of what a and b have in common at their start.
func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// T is what Test needs of a *testing.T.
type T interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// Test runs a function on all cases in a folder, and fails if it does not do
// what they say. Cases that must end with a fault of the platform are left out,
// for there is none. If the working directory, which is that of the test's source,
// has a pappus.json, its input sets are there in every case.
func Test(t T, folder string, f Function) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Fatal("there are no cases in " + folder)
	}
	for _, e := range entries {
		c, err := readProjectCase(filepath.Join(folder, e.Name()))
		switch {
		case err != nil:
			t.Fatal(err)
		case c.Fault != "" && c.Fault != "exit":
			continue
		}
		if err := c.Run(f); err != nil {
			t.Errorf("case %s: %v", e.Name(), err)
		}
	}
}

// writeSets writes items to SET/ITEM below a folder.
func writeSets(dir string, sets map[string][]Item) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for set, items := range sets {
		for _, it := range items {
			file := path.Join(set, it.Name)
			if it.Name == "" || !filepath.IsLocal(it.Name) {
				return fmt.Errorf("the item %s/%q has a name that no file can have", set, it.Name)
			}
			if err := makeDirs(root, path.Dir(file)); err != nil {
				return err
			}
			w, err := root.Create(file)
			if err != nil {
				return err
			}
			_, err = w.Write(it.Data)
			if err := errors.Join(err, w.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := makeDirs(root, path.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
