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
	"pappus/engine"
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
	if err = errors.Join(err, file.Close()); err != nil {
		// What is not whole must not look like an output.
		return "", errors.Join(err, f.root.Remove(name))
	}
	return name, nil
}

// isFileName reports whether a name, with slashes, leads to one place only,
// and that is below where it starts.
func isFileName(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.ContainsRune(name, 0)
}

func badFileName(what, name string) error {
	return fail(exitFile, fmt.Errorf("%s name %q can't be the name of a file", what, name), "get it with --json instead of --out")
}

// peeked is how much of an item is held to say its size before its bytes. Of
// larger ones nothing is held.
const peeked = 1 << 20

// showItems writes what a person or a pipe wants to see: the bytes of a single
// item as they are, and several ones with a line before each. Whether there are
// several is found out by holding the first; if that is larger than peeked,
// there are, unless the caller knows better: a server gives a single item raw.
func showItems(w io.Writer, outputs iter.Seq2[client.Output, error]) error {
	next, stop := iter.Pull2(outputs)
	defer stop()
	o, err, ok := next()
	if !ok || err != nil {
		return err
	}
	var first shownItem
	if err := first.peek(o); err != nil {
		return err
	}
	if first.size >= 0 {
		if o, err, ok = next(); err != nil {
			return err
		}
		if !ok {
			_, err := w.Write(first.begin)
			return err
		}
		if err := first.writeTo(w); err != nil {
			return err
		}
	} else {
		if err := first.writeTo(w); err != nil {
			return err
		}
		o, err, ok = next()
	}
	for ; ok; o, err, ok = next() {
		if err != nil {
			return err
		}
		var item shownItem
		if err := item.peek(o); err != nil {
			return err
		}
		if err := item.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

// shownItem is an item with a line before it.
type shownItem struct {
	output client.Output
	begin  []byte
	size   int64 // in bytes; -1 if that is more than peeked
}

// peek reads an item to its end, or as far as it may be held.
func (s *shownItem) peek(o client.Output) (err error) {
	s.output = o
	if s.begin, err = io.ReadAll(io.LimitReader(o.Body, peeked+1)); err != nil {
		return err
	}
	if s.size = int64(len(s.begin)); s.size > peeked {
		s.size = -1
	}
	return nil
}

func (s *shownItem) writeTo(w io.Writer) error {
	key, size := "", fmt.Sprintf("%d bytes", s.size)
	if s.output.Key != 0 {
		key = fmt.Sprintf("@%d", s.output.Key)
	}
	if s.size < 0 {
		size = "more than " + engine.Bytes(peeked).String()
	}
	if err := paint(w, bold, fmt.Sprintf("== %s/%s%s (%s)", oneLine(s.output.Set), oneLine(s.output.Name), key, size)); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	end := lineEnd{w: w}
	if _, err := end.Write(s.begin); err != nil {
		return err
	}
	if s.size < 0 {
		if _, err := io.Copy(&end, s.output.Body); err != nil {
			return err
		}
	}
	return end.finish()
}

// lineEnd passes bytes on and knows whether the last one ended a line.
type lineEnd struct {
	w    io.Writer
	open bool // the last byte ends no line
}

func (l *lineEnd) Write(b []byte) (int, error) {
	if len(b) > 0 {
		l.open = b[len(b)-1] != '\n'
	}
	return l.w.Write(b)
}

// finish ends the line, if there is one that has not ended.
func (l *lineEnd) finish() error {
	if !l.open {
		return nil
	}
	_, err := io.WriteString(l.w, "\n")
	return err
}
