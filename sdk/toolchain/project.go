package toolchain

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of a project's folder.
const (
	maxFiles = 10_000
	maxDepth = 16
)

// ErrTooManyFiles says that a folder is hardly the project of one function.
var ErrTooManyFiles = errors.New("more files than the project of one function has")

// ErrNoFile says that something is not a regular file, but a device or a pipe: to
// read it could take for ever.
var ErrNoFile = errors.New("it is not a regular file")

// ErrManifestSize says that a manifest is longer than any is.
var ErrManifestSize = errors.New("it is too long for a manifest")

// maxManifest is the most that a manifest may have, in bytes.
const maxManifest = 1 << 20

// readManifest reads the manifest that lies beside the sources. If there is none,
// the error is fs.ErrNotExist.
func readManifest(dir string) (text []byte, err error) {
	path := filepath.Join(dir, manifestFile)
	// Opening a pipe would wait for somebody who writes.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", path, ErrNoFile)
	case info.Size() > maxManifest:
		return nil, fmt.Errorf("%s: %w: it has %d bytes, and the most is %d", path, ErrManifestSize, info.Size(), maxManifest)
	}
	return io.ReadAll(io.LimitReader(f, maxManifest))
}

// Open looks at a project: a folder, or one file of source code.
func Open(path string) (*Project, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: %w", abs, ErrNoFile)
		}
		file := filepath.Base(abs)
		if err := checkName(file); err != nil {
			return nil, err
		}
		return &Project{Dir: filepath.Dir(abs), Name: strings.TrimSuffix(file, filepath.Ext(file)), File: file, Files: []string{file}}, nil
	}
	p := &Project{Dir: abs, Name: filepath.Base(abs)}
	// A walk does not follow a link, not even at its beginning.
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, err
	}
	p.Dir = abs
	err = filepath.WalkDir(abs, func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(abs, file)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir() && rel != "." && (LeftOut(e.Name()) || strings.Count(rel, string(filepath.Separator)) >= maxDepth):
			return filepath.SkipDir
		case e.IsDir(), !isFile(file, e):
			return nil
		case len(p.Files) == maxFiles:
			return fmt.Errorf("%s: %w (%d)", abs, ErrTooManyFiles, maxFiles)
		}
		p.Files = append(p.Files, filepath.ToSlash(rel))
		return checkName(rel)
	})
	slices.Sort(p.Files)
	return p, err
}

// isFile tells of regular files, and of links to them.
func isFile(path string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// checkName refuses names that compilers take for options, or for files of options.
func checkName(file string) error {
	if strings.HasPrefix(file, "-") || strings.HasPrefix(file, "@") {
		return fmt.Errorf("%q begins with %q, which compilers take for an option; rename it", file, file[:1])
	}
	return nil
}

// LeftOut reports whether a folder of that name holds no sources: hidden ones,
// cases, and what tools make.
func LeftOut(folder string) bool {
	return strings.HasPrefix(folder, ".") || slices.Contains([]string{"cases", "build", "node_modules", "target", "testdata", "vendor"}, folder)
}

// UnknownError says that a project is of no language, or of several.
type UnknownError struct {
	Path      string
	Languages []string // that it could be
}

func (e *UnknownError) Error() string {
	if len(e.Languages) > 0 {
		return fmt.Sprintf("%s: it could be a project in %s", e.Path, strings.Join(e.Languages, " or "))
	}
	return fmt.Sprintf("%s: there is no source code of a language that is known", e.Path)
}

// LanguageOf finds the language of a project, or returns an *UnknownError.
func LanguageOf(p *Project) (*Language, error) {
	var owners []*Language
	unknown := &UnknownError{Path: filepath.Join(p.Dir, p.File)}
	for _, l := range Languages() {
		if l.Owns(p) {
			owners = append(owners, l)
			unknown.Languages = append(unknown.Languages, l.Name)
		}
	}
	if len(owners) != 1 {
		return nil, unknown
	}
	return owners[0], nil
}

// Named finds a language by its name, or by another that people give it; nil if
// there is none.
func Named(name string) *Language {
	for _, l := range Languages() {
		if l.Name == name || slices.Contains(l.Aliases, name) {
			return l
		}
	}
	return nil
}

// ErrNotEmpty says that the folder of a new project has files in it.
var ErrNotEmpty = errors.New("the folder is not empty")

// placeholder stands for the name of the project in templates.
const placeholder = "__NAME__"

// Create writes a new project of a language into a folder, which is made if it
// is not there and must be empty, and tells which files it has. If that fails
// on the way, what was written stays.
func Create(l *Language, dir, name string) (files []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	for _, part := range l.Template {
		err := fs.WalkDir(part.Files, ".", func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := fs.ReadFile(part.Files, file)
			if err != nil {
				return err
			}
			to := filepath.Join(part.Dir, filepath.FromSlash(strings.TrimSuffix(file, ".tmpl")))
			files = append(files, to)
			path := filepath.Join(dir, to)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.ReplaceAll(string(content), placeholder, name)), 0o644)
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}
