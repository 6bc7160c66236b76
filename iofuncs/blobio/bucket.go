package blobio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Kinds of buckets, which are the schemes of their URLs.
const (
	kindFile   = "file"
	kindMemory = "mem"
	kindS3     = "s3"
)

// Place is where the blobs of a bucket are.
type Place struct {
	kind   string
	folder string // of a bucket of files
	prefix string // before every key; "", or with a slash at its end

	name                string // of a bucket of S3
	region, endpoint    string
	keyIDEnv, secretEnv string // variables that have credentials; "": they are found as the AWS tools do
}

// Kind is the kind of the bucket: file, mem or s3.
func (p Place) Kind() string { return p.kind }

// Folder is the folder of a bucket of files, and "" for others.
func (p Place) Folder() string { return p.folder }

// ParsePlace reads the URL of a bucket: file:///FOLDER, mem:// or s3://NAME, with
// parameters. Errors have nothing of a URL that may be a secret.
func ParsePlace(text string) (Place, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Place{}, errors.New("it is not a URL like file:///FOLDER, mem:// or s3://BUCKET?region=REGION")
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil:
		return Place{}, errors.New("what follows the ? can't be read")
	case u.User != nil:
		return Place{}, errors.New("it has credentials; put them into variables, and name these with access-key-env and secret-key-env")
	case u.Fragment != "" || u.Opaque != "":
		return Place{}, errors.New("it has a fragment, or no // after the scheme")
	}
	p := Place{kind: u.Scheme}
	known := []string{"prefix"}
	switch u.Scheme {
	case kindFile:
		if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) == "/" {
			return Place{}, errors.New("it does not name a folder by its whole path, as file:///var/lib/blobs does")
		}
		p.folder = filepath.Clean(u.Path)
	case kindMemory:
		if u.Host != "" || u.Path != "" && u.Path != "/" {
			return Place{}, errors.New("a bucket in memory is mem://, and nothing more")
		}
	case kindS3:
		if u.Host == "" || u.Path != "" && u.Path != "/" {
			return Place{}, errors.New("it is not s3://BUCKET; what keys begin with is the parameter prefix")
		}
		p.name = u.Host
		known = append(known, "region", "endpoint", "access-key-env", "secret-key-env")
	default:
		return Place{}, fmt.Errorf("the scheme %.20q is none of %s, %s and %s", u.Scheme, kindFile, kindMemory, kindS3)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return Place{}, fmt.Errorf("there is no parameter %.40q; there are %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 || values[0] == "" {
			return Place{}, fmt.Errorf("the parameter %s is empty, or there twice", name)
		}
	}
	p.region, p.endpoint = query.Get("region"), query.Get("endpoint")
	p.keyIDEnv, p.secretEnv = query.Get("access-key-env"), query.Get("secret-key-env")
	if p.prefix = query.Get("prefix"); p.prefix != "" {
		if err := checkKey(strings.TrimSuffix(p.prefix, "/")); err != nil {
			return Place{}, fmt.Errorf("prefix: %w", err)
		}
		p.prefix = strings.TrimSuffix(p.prefix, "/") + "/"
	}
	if p.endpoint != "" {
		e, err := url.Parse(p.endpoint)
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" {
			return Place{}, errors.New("endpoint is not http://HOST:PORT or https://HOST:PORT")
		}
	}
	if (p.keyIDEnv == "") != (p.secretEnv == "") {
		return Place{}, errors.New("access-key-env and secret-key-env need each other")
	}
	return p, nil
}

// store is where the blobs of a bucket are. Its methods may be called from many
// goroutines. Keys are whole, with what the place has before them.
type store interface {
	// open finds a blob, or what is asked of it, and says what to read of it. The
	// error is errMissing, errCondition or errSpan if that is how it is.
	open(ctx context.Context, key string, r *ref) (*opened, error)

	// put writes a blob as a whole or not at all, and says its ETag. The error is
	// errCondition if the ref's conditions don't hold.
	put(ctx context.Context, key string, r *ref, content *fence, w *watch) (etag string, err error)

	// list gives the first of the blobs whose keys begin with prefix and come after
	// another key, in order, and at most so many. With a delimiter none has it after the
	// prefix. found holds them.
	list(ctx context.Context, prefix, delimiter, after string, most int, found *hold) ([]entry, error)

	close() error
}

// entry is a blob in a list.
type entry struct {
	key, etag string
	size      int64
}

// holds is what an entry takes.
func (e entry) holds() int64 {
	const overhead = 128 // with what lists of them have to spare
	return int64(len(e.key)+len(e.etag)) + overhead
}

// opened is content that is ready to be read.
type opened struct {
	reader   io.Reader
	length   int64
	believed int64 // so much of the length is believed before anything has come
	close    func()
}

// What becomes of a blob that is no failure of what it lies on.
var (
	errMissing   = errors.New("there is no such blob")
	errCondition = errors.New("the condition does not hold")
)

// reason is what to tell a function's user of an error: neither names of files, nor
// addresses, nor what an endpoint writes.
func reason(err error) string {
	var (
		said  *plainError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &said):
		return said.text
	case errors.Is(err, errShort), errors.Is(err, errLong), errors.Is(err, errGone):
		return err.Error()
	case errors.As(err, &errno):
		return errno.Error()
	}
	return "it failed, and why is not for functions to know"
}

// plainError is an error whose text may be told.
type plainError struct {
	text string
	hint string // what to do about it; "": what the kind of failure says
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

func plain(format string, args ...any) error { return &plainError{text: fmt.Sprintf(format, args...)} }

// hinted is an error that says what to do about it.
func hinted(hint, format string, args ...any) error {
	return &plainError{text: fmt.Sprintf(format, args...), hint: hint}
}

// hint is what an error says to do about it.
func hint(err error) string {
	if said := (*plainError)(nil); errors.As(err, &said) {
		return said.hint
	}
	return ""
}

// quoted is an ETag as HTTP has it, also if it came without quotes; "": there is none, or
// one that no ref could name.
func quoted(etag string) string {
	if !strings.HasPrefix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	if _, err := parseETag(etag); err != nil {
		return ""
	}
	return etag
}
