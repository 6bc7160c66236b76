package toolchain

import (
	"embed"
	"io/fs"
)

// templates has a folder for each language. Of "go.mod.tmpl" the new project
// gets "go.mod": with that name it would be another module's here.
//
//go:embed all:templates
var templates embed.FS

// Languages is the table: all languages, in the order in which people are told
// of them.
func Languages() []*Language {
	return []*Language{
		goLanguage(), rustLanguage(), cLanguage(), cLibcLanguage(), cppLanguage(), cppLibcLanguage(),
		assemblyScriptLanguage(), javaScriptLanguage(), luaLanguage(), starlarkLanguage(),
	}
}

// templateOf is the template of a language in templates.
func templateOf(name string) fs.FS {
	files, err := fs.Sub(templates, "templates/"+name)
	if err != nil {
		return emptyFS{} // the name is no path, which a test would find
	}
	return files
}

// emptyFS is a file system without files.
type emptyFS struct{}

// Open finds nothing.
func (emptyFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
