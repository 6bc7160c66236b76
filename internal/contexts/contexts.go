package contexts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"pappus/internal/filelock"
	"pappus/internal/wholefile"
)

// File is what a file of contexts says.
type File struct {
	Current  string             `yaml:"current,omitempty"` // name of the one in use; "": none
	Contexts map[string]Context `yaml:"contexts"`
}

// Context is one server.
type Context struct {
	Server string `yaml:"server"`       // its address
	CA     string `yaml:"ca,omitempty"` // file of the certificates that may sign the server's; "": the system's
}

// DamagedError says that a file is not what this package writes.
type DamagedError struct {
	Path   string
	Reason string
}

func (e *DamagedError) Error() string { return e.Path + ": " + e.Reason }

// ErrNotKept is returned for changes after which the file would not say what it
// should.
var ErrNotKept = errors.New("the contexts can't be kept")

// maxFile is how much of a file is read, in bytes; a thousand contexts have a
// tenth of it.
const maxFile = 1 << 20

// Path is the file in a folder of configuration, such as os.UserConfigDir.
func Path(configDir string) string { return filepath.Join(configDir, "pappus", "contexts.yaml") }

// Read reads the file at path. One that does not exist has no contexts. Errors
// are *DamagedError and of the file system.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &File{Contexts: map[string]Context{}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	file, err := parse(text)
	if err != nil {
		return nil, &DamagedError{path, err.Error()}
	}
	return file, nil
}

func parse(text []byte) (*File, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	file := new(File)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(file); err != nil && !errors.Is(err, io.EOF) {
		return nil, plain(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it goes on after its end")
	}
	if file.Contexts == nil {
		file.Contexts = map[string]Context{}
	}
	for _, name := range file.Names() {
		if file.Contexts[name].Server == "" {
			return nil, fmt.Errorf("context %.40q has no server", name)
		}
	}
	if _, ok := file.Contexts[file.Current]; !ok && file.Current != "" {
		return nil, fmt.Errorf("its current context %.40q does not exist", file.Current)
	}
	return file, nil
}

// plain says what is wrong with YAML in one line and without names of Go.
func plain(err error) error {
	var mismatch *yaml.TypeError
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if errors.As(err, &mismatch) && len(mismatch.Errors) > 0 {
		text = mismatch.Errors[0]
	}
	if what, _, ok := strings.Cut(text, " not found in type "); ok {
		text = strings.Replace(what, "field ", "unknown key ", 1)
	}
	text = strings.ReplaceAll(text, "contexts.", "")
	return errors.New(strings.ReplaceAll(text, "\n", " "))
}

// Names lists the contexts in order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Contexts))
	for name := range f.Contexts {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

// Update changes the file at path: change gets what it says, and what it makes
// of it is written if it returns nil. No other Update comes between reading and
// writing, and whoever reads meanwhile sees the old file or the new one. It
// waits for others until ctx ends.
func Update(ctx context.Context, path string, change func(*File) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock := path + ".lock" // its own file is another one after every change
	unlock, err := filelock.Take(ctx, lock)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("wait for another command to release %s: %w", lock, err)
	case err != nil:
		return err
	}
	defer unlock()
	file, err := Read(path)
	if err != nil {
		return err
	}
	if err := change(file); err != nil {
		return err
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	// YAML does not keep every text there is, such as that of a line end alone.
	if same, err := parse(text); err != nil || !reflect.DeepEqual(same, file) {
		return fmt.Errorf("%w: %w", ErrNotKept, cmp.Or(err, errors.New("it has characters that YAML does not keep")))
	}
	return wholefile.Write(path, text, 0o600)
}
