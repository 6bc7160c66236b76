package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"pappus/client"
)

// writeItems writes every item to DIR/SET/ITEM and names the files on w. Items
// of one name get ~2, ~3 … at the end, those without one are ~1, ~2 …. Names
// come from the function and are not trusted: everything is written below the
// set's folder, whatever they say, and what is no name of a file is an error.
func writeItems(w io.Writer, dir string, outputs iter.Seq2[client.Output, error]) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	folders := map[string]*setFolder{}
	defer func() {
		for _, f := range folders {
			err = errors.Join(err, f.root.Close())
		}
	}()
	for o, err := range outputs {
		if err != nil {
			return err
		}
		folder := folders[o.Set]
		if folder == nil {
			if folder, err = openSetFolder(root, o.Set); err != nil {
				return err
			}
			folders[o.Set] = folder
		}
		name, err := folder.write(o)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, oneLine(filepath.Join(dir, o.Set, name))); err != nil {
			return err
		}
	}
	return nil
}

// setFolder is the folder of one set's items.
type setFolder struct {
	root *os.Root
	used map[string]bool // names written by this command
}

func openSetFolder(root *os.Root, set string) (*setFolder, error) {
	if strings.Contains(set, "/") || !isFileName(set) {
		return nil, badFileName("set", set)
	}
	if err := root.Mkdir(set, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	sub, err := root.OpenRoot(set)
	if err != nil {
		return nil, err
	}
	return &setFolder{root: sub, used: map[string]bool{}}, nil
}

// write writes one item and returns the name it got.
func (f *setFolder) write(o client.Output) (string, error) {
	name := o.Name
	if name != "" && !isFileName(name) {
		return "", badFileName("item", o.Name)
	}
	for n := 1; name == "" || f.used[name]; n++ {
		if name = o.Name + "~" + strconv.Itoa(n); n == 1 && o.Name != "" {
			name = o.Name // ~1 is for those without a name
		}
	}
	f.used[name] = true
	if parent := path.Dir(name); parent != "." {
		if err := f.root.MkdirAll(parent, 0o777); err != nil {
			return "", err
		}
	}
	file, err := f.root.Create(name)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, o.Body)
	return name, errors.Join(err, file.Close())
}

// isFileName reports whether a name, with slashes, leads to one place only,
// and that is below where it starts.
func isFileName(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.ContainsRune(name, 0)
}

func badFileName(what, name string) error {
	return fail(exitFile, fmt.Errorf("%s name %q can't be the name of a file", what, name), "get it with --json instead of --out")
}

// showItems writes what a person or a pipe wants to see: the bytes of a single
// item as they are, and several ones with a line before each.
func showItems(w io.Writer, outputs iter.Seq2[client.Output, error]) error {
	next, stop := iter.Pull2(outputs)
	defer stop()
	first, err, ok := next()
	if !ok || err != nil {
		return err
	}
	content, err := io.ReadAll(first.Body)
	if err != nil {
		return err
	}
	second, err, ok := next()
	if err != nil {
		return err
	}
	if !ok {
		_, err := w.Write(content)
		return err
	}
	if err := showItem(w, first, content); err != nil {
		return err
	}
	for o := second; ok; o, err, ok = next() {
		if err != nil {
			return err
		}
		if content, err = io.ReadAll(o.Body); err != nil {
			return err
		}
		if err := showItem(w, o, content); err != nil {
			return err
		}
	}
	return nil
}

func showItem(w io.Writer, o client.Output, content []byte) error {
	key := ""
	if o.Key != 0 {
		key = fmt.Sprintf("@%d", o.Key)
	}
	end := ""
	if len(content) > 0 && content[len(content)-1] != '\n' {
		end = "\n"
	}
	_, err := fmt.Fprintf(w, "== %s/%s%s (%d bytes)\n%s%s", oneLine(o.Set), oneLine(o.Name), key, len(content), content, end)
	return err
}
