package blobio

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"
)

// local is a bucket of files or in memory. Conditions are atomic within this process
// only: a put holds a lock of its key. What is read is one version as a whole.
type local struct {
	bucket *blob.Bucket
	path   string      // of files
	folder os.FileInfo // what the path led to when the bucket was opened
	root   *os.Root    // the same; nil: in memory
	locks  [64]chan struct{}
	seed   maphash.Seed
	most   int64 // bytes in memory

	mu   sync.Mutex
	used int64     // bytes in memory
	last time.Time // of a file
}

var _ store = (*local)(nil)

// overhead is what a blob in memory counts besides its content and key.
const overhead = 512

func openLocal(p Place, limits Limits) (store, error) {
	s := &local{seed: maphash.MakeSeed(), most: limits.Memory}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	if p.kind == kindMemory {
		s.bucket = memblob.OpenBucket(nil)
		return s, nil
	}
	var err error
	if s.root, err = os.OpenRoot(p.folder); err != nil {
		return nil, err
	}
	if s.folder, err = s.root.Stat("."); err != nil {
		return nil, errors.Join(err, s.root.Close())
	}
	s.path = p.folder
	// Temporary files lie beside what they become, since only there they can become
	// it at once. Attributes would be files of their own, which a killed server leaves
	// half written.
	if s.bucket, err = fileblob.OpenBucket(p.folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite}); err != nil {
		return nil, errors.Join(err, s.root.Close())
	}
	return s, nil
}

func (s *local) close() error {
	err := s.bucket.Close()
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	return err
}

// there finds out whether the folder of a bucket of files is where it was. The driver
// knows its path only: it would make another one, and put blobs into that.
func (s *local) there() error {
	if s.root == nil {
		return nil
	}
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.folder) {
		return hinted("Have the operator put the folder back where it was, or start the server again.", "the bucket's folder was moved or removed, or another one is in its place")
	}
	return nil
}

// state is which version of a blob is there.
type state struct {
	size    int64
	modTime time.Time
	file    os.FileInfo // nil: in memory
}

// etag is that which gocloud.dev gives blobs of files and in memory.
func (v state) etag() string { return fmt.Sprintf(`"%x-%x"`, v.modTime.UnixNano(), v.size) }

func (v state) equal(o state) bool {
	return v.size == o.size && v.modTime.Equal(o.modTime) && (v.file == nil || os.SameFile(v.file, o.file))
}

// temporary are names of files that a put has not finished.
var temporary = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

const attributes = ".attrs"

// reserved reports whether a key is one that the driver keeps for itself. It would look
// for attributes of a blob in a folder of that name, too.
func reserved(key string) bool {
	return strings.Contains(key+"/", attributes+"/") || temporary.MatchString(key)
}

// stat finds the version of a blob that is there.
func (s *local) stat(ctx context.Context, key string) (state, error) {
	if s.root == nil {
		a, err := s.bucket.Attributes(ctx, key)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return state{}, errMissing
		}
		if err != nil {
			return state{}, err
		}
		return state{size: a.Size, modTime: a.ModTime}, nil
	}
	if reserved(key) {
		return state{}, plain("names that end with %s or .HEX.tmp are the platform's where blobs are files", attributes)
	}
	if err := s.there(); err != nil {
		return state{}, err
	}
	info, err := s.root.Stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return state{}, errMissing
	case err != nil:
		return state{}, s.outside(err)
	case info.IsDir():
		return state{}, errMissing
	case !info.Mode().IsRegular():
		return state{}, plain("it is neither a file nor a folder")
	}
	return state{size: info.Size(), modTime: info.ModTime(), file: info}, nil
}

// outside says of an error that a path leads out of the folder, if that is what it
// is: the standard library has no name for it.
func (s *local) outside(err error) error {
	var at *fs.PathError
	var errno syscall.Errno
	if errors.As(err, &at) && !errors.As(err, &errno) {
		return &plainError{text: "it leads out of the bucket's folder", err: err}
	}
	return err
}

func (s *local) open(ctx context.Context, key string, r *ref) (*opened, error) {
	const most = 100 // versions that may come while one is looked for
	for range most {
		v, err := s.stat(ctx, key)
		if err != nil {
			return nil, err
		}
		if !r.holds(v.etag()) {
			return nil, errCondition
		}
		start, length, err := r.part.within(v.size)
		if err != nil {
			return nil, err
		}
		var file *os.File
		reader, err := s.bucket.NewRangeReader(ctx, key, start, length, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
			as(&file)
			return nil
		}})
		if gcerrors.Code(err) == gcerrors.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		found := state{size: reader.Size(), modTime: reader.ModTime()}
		if file != nil { // what was opened, whatever the name led to before
			info, err := file.Stat()
			if err != nil {
				return nil, errors.Join(err, reader.Close())
			}
			found = state{size: info.Size(), modTime: info.ModTime(), file: info}
		}
		if !v.equal(found) {
			_ = reader.Close() // nothing was read
			continue
		}
		return &opened{reader: reader, length: length, believed: length, close: func() { _ = reader.Close() }}, nil
	}
	return nil, plain("it changes all the time")
}

// lock waits for the right to put a key.
func (s *local) lock(ctx context.Context, key string) (unlock func(), err error) {
	turn := s.locks[maphash.String(s.seed, key)%uint64(len(s.locks))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *local) put(ctx context.Context, key string, r *ref, content *fence, w *watch) (etag string, err error) {
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return "", err
	}
	defer unlock()
	before, err := s.stat(ctx, key)
	there := err == nil
	if err != nil && !errors.Is(err, errMissing) {
		return "", err
	}
	etag = ""
	if there {
		etag = before.etag()
	}
	if !r.holds(etag) {
		return "", errCondition
	}
	if s.root == nil {
		more := content.size
		if there {
			more -= before.size
		} else {
			more += overhead + int64(len(key))
		}
		if err := s.take(more); err != nil {
			return "", err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, s.take(-more))
			}
		}()
	} else if folder := path.Dir(key); folder != "." {
		const mode = 0o777 // less what the process masks
		err := s.root.MkdirAll(folder, mode)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
			return "", plain("what is before a slash of its key is a blob itself, and can't be both where blobs are files")
		}
		if err != nil {
			return "", s.outside(err)
		}
	}
	now, err := s.write(ctx, key, r, content, w)
	if err != nil {
		return "", err
	}
	if s.root == nil {
		now, err = s.stat(ctx, key)
	} else {
		err = s.there() // otherwise it lies in another folder
	}
	return now.etag(), err
}

// take counts bytes in memory.
func (s *local) take(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.most-s.used {
		return hinted("Have the operator raise --blob-limits memory.", "the bucket is in memory, and can't hold more than %d bytes (blob-limits memory)", s.most)
	}
	s.used += n
	return nil
}

// tick is a time that no file of the bucket has had from this process.
func (s *local) tick() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Round(0) // without the clock that knows no dates
	if !now.After(s.last) {
		now = s.last.Add(1)
	}
	s.last = now
	return now
}

// write replaces a blob. Of one in memory it does not say the version.
func (s *local) write(ctx context.Context, key string, r *ref, content *fence, watched *watch) (state, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	contentType := r.contentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	var file *os.File
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true, BeforeWrite: func(as func(any) bool) error {
		as(&file)
		return nil
	}})
	if err != nil {
		return state{}, err
	}
	abandon := func(err error) (state, error) {
		cancel() // so that closing does not finish it
		_ = w.Close()
		return state{}, err
	}
	for at := int64(0); at < content.size; {
		if err := ctx.Err(); err != nil {
			return abandon(err)
		}
		n, err := w.Write(content.content[at:min(at+piece, content.size)])
		if err != nil {
			return abandon(err)
		}
		at += int64(n)
		watched.moved()
	}
	now := state{size: content.size}
	if file != nil {
		// A name may lead to it only once it is all there, also after the power was cut.
		// Times of a file system are coarse: two versions could have the same.
		now.modTime = s.tick()
		if err := file.Sync(); err != nil {
			return abandon(err)
		}
		if err := os.Chtimes(file.Name(), now.modTime, now.modTime); err != nil {
			return abandon(err)
		}
		info, err := file.Stat() // a file system may keep less of a time than there is
		if err != nil {
			return abandon(err)
		}
		now.modTime = info.ModTime()
	}
	err = w.Close()
	if file != nil && (errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.EISDIR)) {
		return state{}, plain("there are blobs that have a slash after it, and it can't be both where blobs are files")
	}
	if err != nil {
		return state{}, err
	}
	if file == nil {
		return now, nil
	}
	folder, err := s.root.Open(path.Dir(key))
	if err != nil {
		return state{}, err
	}
	return now, errors.Join(folder.Sync(), folder.Close())
}

func (s *local) list(ctx context.Context, prefix, delimiter, after string, most int) ([]entry, error) {
	first := smallest{most: most}
	wanted := func(key string) bool {
		rest, ok := strings.CutPrefix(key, prefix)
		return ok && key > after && (delimiter == "" || !strings.Contains(rest, delimiter)) && checkKey(key) == nil
	}
	if s.root == nil {
		for all := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			o, err := all.Next(ctx)
			if errors.Is(err, io.EOF) {
				return first.entries(), nil
			}
			if err != nil {
				return nil, err
			}
			if v := (state{size: o.Size, modTime: o.ModTime}); wanted(o.Key) {
				first.add(entry{key: o.Key, etag: v.etag(), size: v.size})
			}
		}
	}
	if err := s.there(); err != nil {
		return nil, err
	}
	start := path.Dir(prefix + "x") // the folder in which all of them are
	err := fs.WalkDir(s.root.FS(), start, func(at string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return nil // there is no such folder, or not any more
		case err != nil:
			return s.outside(err)
		case d.IsDir() && at != start && !strings.HasPrefix(at+"/", prefix):
			return fs.SkipDir
		case d.IsDir() && at != start && delimiter == "/":
			return fs.SkipDir
		case d.Type().IsRegular() && !reserved(at) && wanted(at):
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // not any more
			}
			if err != nil {
				return err
			}
			v := state{size: info.Size(), modTime: info.ModTime()}
			first.add(entry{key: at, etag: v.etag(), size: v.size})
		}
		return nil
	})
	return first.entries(), err
}

// smallest keeps the first of some blobs by their keys.
type smallest struct {
	most int
	all  []entry
}

func (s *smallest) add(e entry) {
	if s.all = append(s.all, e); len(s.all) > 2*s.most {
		s.all = s.entries()
	}
}

func (s *smallest) entries() []entry {
	slices.SortFunc(s.all, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return s.all[:min(len(s.all), s.most)]
}
