package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pappus/client"
	"pappus/data"
	"pappus/engine"
)

// Sources that are no files.
const (
	sourceStdin = "-"
	sourceText  = "text:"
)

// Names that inputs get when nothing says better; the same as the server gives
// to a raw body.
const (
	namelessItem = "body"  // an item that comes from no file
	openInput    = "input" // the set of a raw body, for a function without a signature
	stdioSet     = "stdio"
	stdinItem    = "stdin"
	stdoutItem   = "stdout"
)

const inputHint = "inputs are --in SET=FILE, --in SET/ITEM=FILE or --in SET/ITEM@KEY=FILE; FILE can be - for stdin, text:…, or a folder"

// inputHelp is the part of a verb's help that explains --in.
const inputHelp = `Inputs:
  --in SET=FILE            an item of the file's name
  --in SET=FOLDER          an item for each file in the folder and in those below it,
                           named by its path from there, in the order of their names
  --in SET/ITEM=FILE       an item of this name
  --in SET/ITEM@KEY=FILE   and this key (a number); a name that itself ends like this,
                           or in @, has its key behind it: a@1@0 is the item a@1
  FILE is - for stdin or text:WORDS for the words themselves; then the item is "body"
  unless it is named. --raw FILE sends one item to the first input set.
`

// input is an item to be given to a function, not read yet.
type input struct {
	set, name string
	key       uint32
	open      func() (io.ReadCloser, error)
	size      int64 // in bytes; -1 if that is not known
}

// inputReader makes inputs of what --in and --raw say.
type inputReader struct {
	stdin io.Reader
	taken bool // stdin has been given to an input
}

// parse reads the values of --in, in their order.
func (r *inputReader) parse(values []string) ([]input, error) {
	var inputs []input
	for _, value := range values {
		more, err := r.parseOne(value)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, more...)
	}
	return inputs, nil
}

func (r *inputReader) parseOne(value string) ([]input, error) {
	target, from, ok := strings.Cut(value, "=")
	if !ok {
		return nil, usage(inputHint, "--in %s: there is no =", value)
	}
	set, name, named := strings.Cut(target, "/")
	in := input{set: set}
	if named {
		var err error
		if in.name, in.key, err = cutKey(name); err != nil {
			return nil, usage(inputHint, "--in %s: %w", value, err)
		}
	}
	if err := data.CheckSetName(set); err != nil {
		return nil, usage(inputHint, "--in %s: %w", value, err)
	}
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		if named {
			return nil, usage("the files of a folder have their own names: write --in SET=FOLDER", "--in %s: %s is a folder", value, from)
		}
		return folder(set, from)
	}
	if !named {
		in.name = nameOf(from)
	}
	if err := data.CheckItemName(in.name); err != nil {
		return nil, usage(inputHint, "--in %s: %w", value, err)
	}
	var err error
	in.open, in.size, err = r.source(from)
	return []input{in}, err
}

// nearlyKey matches what stands behind an @ as if it were a key, and is none.
var nearlyKey = regexp.MustCompile(`^([-+.,]?[0-9][0-9.,_]*([eE][-+]?[0-9]+)?|0[xX][0-9a-fA-F_]*|)$`)

// cutKey takes "@KEY" off the end of an item's name. A name may have an @ of its
// own, as in logo@2x.png; what looks like a key that is none is refused.
func cutKey(name string) (string, uint32, error) {
	i := strings.LastIndexByte(name, '@')
	if i < 0 {
		return name, 0, nil
	}
	if text := name[i+1:]; text == "" || strings.Trim(text, "0123456789") != "" {
		if nearlyKey.MatchString(text) {
			return "", 0, fmt.Errorf("%q is not a key: a whole number up to 4294967295; if it belongs to the name, write the key behind it: %s@0", text, name)
		}
		return name, 0, nil
	}
	key, err := strconv.ParseUint(name[i+1:], 10, 32)
	if err != nil {
		return "", 0, fmt.Errorf("key %s is above 4294967295", name[i+1:])
	}
	return name[:i], uint32(key), nil
}

func nameOf(from string) string {
	if from == sourceStdin || strings.HasPrefix(from, sourceText) {
		return namelessItem
	}
	return filepath.Base(from)
}

// folder makes an input of each file below dir, named by its path from there.
func folder(set, dir string) ([]input, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	inputs := make([]input, len(names))
	for i, name := range names {
		if err := data.CheckItemName(name); err != nil {
			return nil, usage("rename the file", "folder %s: %w", dir, err)
		}
		in := input{set: set, name: name}
		if in.open, in.size, err = file(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return nil, err
		}
		inputs[i] = in
	}
	return inputs, nil
}

// source finds out what a FILE is. Only its size is looked at yet.
func (r *inputReader) source(from string) (open func() (io.ReadCloser, error), size int64, err error) {
	if text, ok := strings.CutPrefix(from, sourceText); ok {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }, int64(len(text)), nil
	}
	if from != sourceStdin {
		return file(from)
	}
	if r.taken {
		return nil, 0, usage("write it into a file first", "stdin can be an input only once")
	}
	r.taken = true
	return func() (io.ReadCloser, error) { return io.NopCloser(r.stdin), nil }, -1, nil
}

func file(path string) (open func() (io.ReadCloser, error), size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	size = -1 // of a pipe or a device
	if info.Mode().IsRegular() {
		size = info.Size()
	} else if info.IsDir() {
		return nil, 0, fail(exitFile, fmt.Errorf("%s is a folder", path), "name a file")
	}
	return func() (io.ReadCloser, error) { return os.Open(path) }, size, nil
}

// rawTarget is where the item of a raw body goes, as the server has it.
func rawTarget(sig engine.Signature) (set, item string) {
	switch {
	case sig.Input(stdioSet) >= 0:
		return stdioSet, stdinItem
	case len(sig.Inputs) > 0:
		set = sig.Inputs[0].Name
	default:
		set = openInput
	}
	if set == stdioSet {
		return set, stdinItem
	}
	return set, namelessItem
}

// items makes the inputs ready to be sent. They are opened one after the other
// as the body is read.
func items(inputs []input) []client.Item {
	list := make([]client.Item, len(inputs))
	for i, in := range inputs {
		list[i] = client.Item{Set: in.set, Name: in.name, Key: in.key, Body: &lazyReader{open: in.open}, Size: in.size}
	}
	return list
}

// sets reads the inputs, in order of appearance and then of keys.
func sets(inputs []input) ([]data.Set, error) {
	var list []data.Set
	for _, in := range inputs {
		content, err := in.read()
		if err != nil {
			return nil, fmt.Errorf("input %s/%s: %w", in.set, in.name, err)
		}
		i := slices.IndexFunc(list, func(s data.Set) bool { return s.Name == in.set })
		if i < 0 {
			i = len(list)
			list = append(list, data.Set{Name: in.set})
		}
		list[i].Items = append(list[i].Items, data.NewItem(in.name, in.key, content))
	}
	for _, s := range list {
		s.Order()
	}
	return list, nil
}

func (in input) read() ([]byte, error) {
	r, err := in.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// lazyReader opens its source at the first read and closes it at the last, so
// that a folder of many files needs one descriptor.
type lazyReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
	err  error // what every further read returns
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.r == nil {
		if l.r, l.err = l.open(); l.err != nil {
			return 0, l.err
		}
	}
	n, err := l.r.Read(p)
	if err != nil {
		l.err = err
		if closeErr := l.r.Close(); closeErr != nil && errors.Is(err, io.EOF) {
			l.err = closeErr
		}
	}
	return n, l.err
}
