package main

import (
	"crypto/rand"
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
	"syscall"

	"pappus/client"
	"pappus/engine"
)

// writeItems writes every item to DIR/SET/ITEM and names the files on w. Items
// of one name get ~2, ~3 … at the end, also where only the file system takes the
// names for one; those without one are ~1, ~2 …. Names come from the function and
// are not trusted: everything is written below the set's folder, whatever they say,
// and what is no name of a file is an error. A file is there whole or not at all.
func writeItems(w io.Writer, dir string, outputs iter.Seq2[client.Output, error]) (err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	folders, written := map[string]*setFolder{}, map[fileID]bool{}
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
			if folder, err = openSetFolder(root, o.Set, written); err != nil {
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
	root    *os.Root
	used    map[string]bool // names written by this command
	last    map[string]int  // the last number after an item's name
	written map[fileID]bool // files written by this command, also in other folders
}

// fileID tells files apart, whatever their names.
type fileID struct{ device, inode uint64 }

func idOf(info fs.FileInfo) fileID {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{stat.Dev, stat.Ino}
}

func openSetFolder(root *os.Root, set string, written map[fileID]bool) (*setFolder, error) {
	if strings.Contains(set, "/") || !isFileName(set) {
		return nil, badFileName("set", set)
	}
	if err := root.Mkdir(set, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, unfit("set", set, err)
	}
	sub, err := root.OpenRoot(set)
	if err != nil {
		return nil, unfit("set", set, err)
	}
	return &setFolder{sub, map[string]bool{}, map[string]int{}, written}, nil
}

// write writes one item and returns the name it got.
func (f *setFolder) write(o client.Output) (string, error) {
	if o.Name != "" && !isFileName(o.Name) {
		return "", badFileName("item", o.Name)
	}
	name, err := f.choose(o.Name)
	if err != nil {
		return "", unfit("item", o.Name, err)
	}
	folder := path.Dir(name)
	if err := f.root.MkdirAll(folder, 0o777); err != nil {
		return "", unfit("item", o.Name, err)
	}
	// What is not whole must not look like an output, even if nobody is left to
	// remove it.
	temp := path.Join(folder, ".pappus-"+rand.Text())
	info, err := f.create(temp, o.Body)
	if err != nil {
		return "", err
	}
	if err := f.root.Rename(temp, name); err != nil {
		var link *os.LinkError
		if errors.As(err, &link) {
			err = &fs.PathError{Op: "write", Path: name, Err: link.Err}
		}
		return "", unfit("item", o.Name, errors.Join(err, f.root.Remove(temp)))
	}
	f.used[name], f.written[idOf(info)] = true, true
	return name, nil
}

// choose finds a name for an item that nothing has which this command wrote.
func (f *setFolder) choose(item string) (string, error) {
	for name, n := item, f.last[item]; ; name = item + "~" + strconv.Itoa(n) {
		if name != "" && !f.used[name] {
			info, err := f.root.Lstat(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			if err != nil || !f.written[idOf(info)] {
				f.last[item] = n
				return name, nil
			}
		}
		if n++; n == 1 && item != "" {
			n = 2 // ~1 is for those without a name
		}
	}
}

// create writes a new file, or leaves none.
func (f *setFolder) create(name string, content io.Reader) (fs.FileInfo, error) {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(file, content)
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr, file.Close()); err != nil {
		return nil, errors.Join(err, f.root.Remove(name))
	}
	return info, nil
}

// isFileName reports whether a name, with slashes, leads to one place only,
// and that is below where it starts.
func isFileName(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.ContainsRune(name, 0)
}

func badFileName(what, name string) error {
	return fail(exitFile, fmt.Errorf("%s name %q can't be the name of a file", what, name), "get it with --json instead of --out")
}

// unfit is the error of the file system about an item or set, which may come of its
// name: it is too long, or that of a folder of others.
func unfit(what, name string, err error) error {
	for _, of := range []error{syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST, syscall.ENOTEMPTY} {
		if errors.Is(err, of) {
			return fail(exitFile, fmt.Errorf("%s name %q can't be the name of a file: %w", what, name, of), "get it with --json instead of --out, or name an empty folder")
		}
	}
	return err
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
