package viewer

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"sync"
)

//go:embed page.html start.js swagger-ui-bundle.js.gz swagger-ui.css.gz LICENSE NOTICE
var files embed.FS

// Policy is the Content-Security-Policy of the page: scripts of the server only,
// requests to the server only. The viewer sets styles itself, and has its icons
// in data: addresses.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// File is one file of the page. It is safe for concurrent use.
type File struct {
	Type       string // media type
	Content    []byte // as it is
	Compressed []byte // by gzip; nil where that is not worth it

	unpacked func() ([]byte, error) // what is compressed
}

// Page is the page itself, which refers to the files as /docs/NAME.
func Page() (*File, error) { return plain("page.html", "text/html; charset=utf-8") }

// Files are the files that the page needs, by name, and the license of those
// that are not ours.
func Files() (map[string]*File, error) {
	all := map[string]*File{}
	for _, f := range []struct {
		name, from, mediaType string
		load                  func(from, mediaType string) (*File, error)
	}{
		{"start.js", "start.js", typeScript, plain},
		{"viewer.js", "swagger-ui-bundle.js.gz", typeScript, packed},
		{"viewer.css", "swagger-ui.css.gz", "text/css; charset=utf-8", packed},
		{"license.txt", "LICENSE", typeText, plain},
		{"notice.txt", "NOTICE", typeText, plain},
	} {
		file, err := f.load(f.from, f.mediaType)
		if err != nil {
			return nil, fmt.Errorf("viewer: %w", err)
		}
		all[f.name] = file
	}
	return all, nil
}

const (
	typeScript = "text/javascript; charset=utf-8"
	typeText   = "text/plain; charset=utf-8"
)

func plain(name, mediaType string) (*File, error) {
	content, err := files.ReadFile(name)
	return &File{Type: mediaType, Content: content}, err
}

func packed(name, mediaType string) (*File, error) {
	compressed, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	// All clients share it: many that read slowly would hold as many copies.
	unpacked := sync.OnceValues(func() ([]byte, error) { return unpack(compressed) })
	return &File{Type: mediaType, Compressed: compressed, unpacked: unpacked}, nil
}

// Plain is the content for a client that takes no gzip, always the same bytes.
func (f *File) Plain() ([]byte, error) {
	if f.unpacked == nil {
		return f.Content, nil
	}
	return f.unpacked()
}

func unpack(compressed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, fmt.Errorf("viewer: %w", err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("viewer: %w", err)
	}
	return content, nil
}
