package blobio

import (
	"context"
	"crypto/rand"
	"encoding/hex"
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
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"
)

// local is a bucket of files or in memory. Conditions are atomic within this process
// only: a put has the turn of its blob. What is read is one version as a whole.
type local struct {
	root   *os.Root     // of files
	path   string       // of files
	folder os.FileInfo  // what the path led to when the bucket was opened
	bucket *blob.Bucket // in memory; of one of both there is none
	turns  *turns
	most   int64 // bytes in memory

	mu   sync.Mutex
	used int64 // bytes in memory
}

// turns are those of puts to all buckets of a client: folders of two may be one, or lie
// in one another.
type turns struct {
	locks [64]chan struct{}
	seed  maphash.Seed

	mu   sync.Mutex
	last time.Time // of a file
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.locks {
		t.locks[i] = make(chan struct{}, 1)
	}
	return t
}

// wait waits for the right to put what lies at a place.
func (t *turns) wait(ctx context.Context, place string) (end func(), err error) {
	turn := t.locks[maphash.String(t.seed, place)%uint64(len(t.locks))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tick is a time that no file has had from this client.
func (t *turns) tick() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Round(0) // without the clock that knows no dates
	if !now.After(t.last) {
		now = t.last.Add(1)
	}
	t.last = now
	return now
}

var _ store = (*local)(nil)

// overhead is what a blob in memory counts besides its content and key.
const overhead = 512

func openLocal(p Place, limits Limits, turns *turns) (store, error) {
	s := &local{turns: turns, most: limits.Memory}
	if p.kind == kindMemory {
		s.bucket = memblob.OpenBucket(&memblob.Options{NoMD5: true}) // nobody asks for them
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
	return s, nil
}

func (s *local) close() error {
	if s.root != nil {
		return s.root.Close()
	}
	return s.bucket.Close()
}

// there finds out whether the folder of a bucket of files is where it was. What is put
// into one that was moved is lost to whoever looks where it should be.
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
}

// etag is that which gocloud.dev gives blobs of files and in memory.
func (v state) etag() string { return fmt.Sprintf(`"%x-%x"`, v.modTime.UnixNano(), v.size) }

func (v state) equal(o state) bool { return v.size == o.size && v.modTime.Equal(o.modTime) }

// temporary are names of files that a put has not finished. They have nothing of the
// blob's, which may be as long as names can be.
var temporary = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

const attributes = ".attrs"

// reserved reports whether a key is one that is no blob's: those of files that are not
// finished, and those under which gocloud.dev keeps attributes of files, if it was used on
// the same folder.
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
	return state{size: info.Size(), modTime: info.ModTime()}, nil
}

// outside says of an error that a path leads out of the folder, if that is what it
// is: the standard library has no name for it.
func (s *local) outside(err error) error {
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return &plainError{text: "between two slashes its key has more bytes than a file's name can have, which are 255 in most file systems", err: err}
	}
	var at *fs.PathError
	var errno syscall.Errno
	if errors.As(err, &at) && !errors.As(err, &errno) {
		return &plainError{text: "it leads out of the bucket's folder", err: err}
	}
	return err
}

func (s *local) open(ctx context.Context, key string, r *ref) (*opened, error) {
	if s.root != nil {
		return s.openFile(ctx, key, r)
	}
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
		reader, err := s.bucket.NewRangeReader(ctx, key, start, length, nil)
		if gcerrors.Code(err) == gcerrors.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !v.equal(state{size: reader.Size(), modTime: reader.ModTime()}) {
			_ = reader.Close() // nothing was read
			continue
		}
		return &opened{reader: reader, length: length, believed: length, close: func() { _ = reader.Close() }}, nil
	}
	return nil, plain("it changes all the time")
}

// openFile opens a file. What it is is seen when it is open: its name may lead to another
// one at any time.
func (s *local) openFile(ctx context.Context, key string, r *ref) (_ *opened, err error) {
	if _, err := s.stat(ctx, key); err != nil { // devices are not even opened
		return nil, err
	}
	file, err := s.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, errMissing
	}
	if err != nil {
		return nil, s.outside(err)
	}
	defer func() {
		if err != nil {
			_ = file.Close() // nothing was read
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errMissing // it was one a moment ago
	}
	if !r.holds(state{size: info.Size(), modTime: info.ModTime()}.etag()) {
		return nil, errCondition
	}
	start, length, err := r.part.within(info.Size())
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	return &opened{reader: io.LimitReader(file, length), length: length, believed: length, close: func() { _ = file.Close() }}, nil
}

// place names where a blob lies, whichever bucket or link leads there. Its folder is
// there.
func (s *local) place(key string) (string, error) {
	if s.root == nil {
		return fmt.Sprintf("%p/%s", s, key), nil
	}
	info, err := s.root.Stat(path.Dir(key))
	if err != nil {
		return "", s.outside(err)
	}
	folder, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("the system does not say which folder is which")
	}
	return fmt.Sprintf("%d/%d/%s", folder.Dev, folder.Ino, path.Base(key)), nil
}

// makeFolder makes the folder that a blob is to lie in.
func (s *local) makeFolder(key string) error {
	const mode = 0o777 // less what the process masks
	err := s.root.MkdirAll(path.Dir(key), mode)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		return plain("what is before a slash of its key is a blob itself, and can't be both where blobs are files")
	}
	return s.outside(err)
}

func (s *local) put(ctx context.Context, key string, r *ref, content *fence, w *watch) (etag string, err error) {
	_, err = s.stat(ctx, key)
	switch {
	case errors.Is(err, errMissing) && r.ifMatch != "":
		return "", errCondition // and no folder is made for it
	case err != nil && !errors.Is(err, errMissing):
		return "", err
	}
	if s.root != nil {
		if err := s.makeFolder(key); err != nil {
			return "", err
		}
	}
	place, err := s.place(key)
	if err != nil {
		return "", err
	}
	end, err := s.turns.wait(ctx, place)
	if err != nil {
		return "", err
	}
	defer end()
	before, err := s.stat(ctx, key)
	there := err == nil
	if err != nil && !errors.Is(err, errMissing) {
		return "", err
	}
	if there {
		etag = before.etag()
	}
	if !r.holds(etag) {
		return "", errCondition
	}
	if s.root != nil {
		now, err := s.writeFile(ctx, key, content, w)
		if err == nil {
			err = s.there() // otherwise it lies in another folder
		}
		return now.etag(), err
	}
	more := content.size
	if there {
		more -= before.size
	} else {
		more += overhead + int64(len(key))
	}
	if err := s.take(max(more, 0)); err != nil {
		return "", err
	}
	if err := s.writeMemory(ctx, key, r, content, w); err != nil {
		s.give(max(more, 0))
		return "", err
	}
	s.give(max(-more, 0)) // not before: until then there was all of it
	now, err := s.stat(ctx, key)
	return now.etag(), err
}

// take counts bytes that come to be in memory.
func (s *local) take(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.most-s.used {
		return hinted("Have the operator raise --blob-limits memory.", "the bucket is in memory, and can't hold more than %d bytes (blob-limits memory)", s.most)
	}
	s.used += n
	return nil
}

// give counts bytes that are in memory no more.
func (s *local) give(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
}

// writeMemory replaces a blob in memory.
func (s *local) writeMemory(ctx context.Context, key string, r *ref, content *fence, watched *watch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	contentType := r.contentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true})
	if err != nil {
		return err
	}
	// All at once: memory that grew with the pieces would be up to twice as large.
	if _, err := w.Write(content.content); err != nil {
		cancel() // so that closing does not finish it
		_ = w.Close()
		return err
	}
	watched.moved()
	return w.Close() // an error if the context has ended
}

// writeFile replaces a file.
func (s *local) writeFile(ctx context.Context, key string, content *fence, watched *watch) (state, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	// It lies beside what it becomes, since only there it can become it at once.
	name := path.Join(path.Dir(key), "."+hex.EncodeToString(random[:])+".tmp")
	const mode = 0o666 // less what the process masks
	file, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return state{}, s.outside(err)
	}
	now := state{size: content.size, modTime: s.turns.tick()}
	err = content.writeTo(ctx, file, watched)
	if err == nil {
		// A name may lead to it only once it is all there, also after the power was cut.
		// Times of a file system are coarse: two versions could have the same.
		err = errors.Join(file.Sync(), s.root.Chtimes(name, now.modTime, now.modTime))
	}
	if err == nil { // a file system may keep less of a time than there is
		var info os.FileInfo
		if info, err = file.Stat(); err == nil {
			now.modTime = info.ModTime()
		}
	}
	err = errors.Join(err, file.Close(), ctx.Err())
	if err == nil {
		err = s.root.Rename(name, key)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.EISDIR) {
			err = plain("there are blobs that have a slash after it, and it can't be both where blobs are files")
		}
	}
	if err != nil {
		_ = s.root.Remove(name) // what failed is told
		return state{}, s.outside(err)
	}
	folder, err := s.root.Open(path.Dir(key))
	if err != nil {
		return state{}, err
	}
	return now, errors.Join(folder.Sync(), folder.Close())
}

func (s *local) list(ctx context.Context, prefix, delimiter, after string, most int, found *hold) ([]entry, error) {
	first := smallest{most: most, hold: found}
	wanted := func(key string) bool {
		rest, ok := strings.CutPrefix(key, prefix)
		return ok && key > after && (delimiter == "" || !strings.Contains(rest, delimiter)) && checkKey(key) == nil
	}
	if s.root == nil {
		for all := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
			o, err := all.Next(ctx)
			if errors.Is(err, io.EOF) {
				return first.entries()
			}
			if err != nil {
				return nil, err
			}
			if v := (state{size: o.Size, modTime: o.ModTime}); wanted(o.Key) {
				if err := first.add(entry{key: o.Key, etag: v.etag(), size: v.size}); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := s.there(); err != nil {
		return nil, err
	}
	start := path.Dir(prefix + "x") // the folder in which all of them are
	folders := []string{start}
	for len(folders) > 0 {
		at := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		if at != start {
			if err := found.give(entry{key: at}.holds()); err != nil {
				return nil, err
			}
		}
		err := s.walk(ctx, at, func(key string, d fs.DirEntry) error {
			switch {
			case d.IsDir() && delimiter != "/" && len(key) < maxKey && strings.HasPrefix(key+"/", prefix):
				if err := found.take(entry{key: key}.holds()); err != nil {
					return err
				}
				folders = append(folders, key)
			case d.Type().IsRegular() && !reserved(key) && wanted(key):
				info, err := d.Info()
				if errors.Is(err, fs.ErrNotExist) {
					return nil // not any more
				}
				if err != nil {
					return err
				}
				v := state{size: info.Size(), modTime: info.ModTime()}
				return first.add(entry{key: key, etag: v.etag(), size: v.size})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return first.entries()
}

// walk visits what is in a folder, some of it at a time, since there may be much.
func (s *local) walk(ctx context.Context, at string, visit func(key string, d fs.DirEntry) error) (err error) {
	folder, err := s.root.OpenFile(at, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // there is no such folder, or not any more
	}
	if err != nil {
		return s.outside(err)
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	for {
		const some = 256
		all, err := folder.ReadDir(some)
		for _, d := range all {
			if err := errors.Join(ctx.Err(), visit(path.Join(at, d.Name()), d)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// smallest keeps the first of some blobs by their keys.
type smallest struct {
	most int
	all  []entry
	hold *hold
}

func (s *smallest) add(e entry) (err error) {
	if err := s.hold.take(e.holds()); err != nil {
		return err
	}
	if s.all = append(s.all, e); len(s.all) > 2*s.most {
		s.all, err = s.entries()
	}
	return err
}

func (s *smallest) entries() ([]entry, error) {
	slices.SortFunc(s.all, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	kept := s.all[:min(len(s.all), s.most)]
	more := int64(0)
	for _, e := range s.all[len(kept):] {
		more += e.holds()
	}
	clear(s.all[len(kept):])
	return kept, s.hold.give(more)
}
