package httpcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// A file is a prefix of fixed length, the head in gob, which keeps bytes that are no
// UTF-8, and the body. The prefix holds magic, the lengths, the digest of the body,
// and last a digest of all before it and the head: so a head can be trusted before
// the body is read.
const (
	magic      = "pappus http 1\n\x00\x00"
	prefixSize = len(magic) + 4 + 8 + sha256.Size + sha256.Size

	// maxHead bounds the head of a file: headers are bounded by whoever reads them
	// from the net, and this is more.
	maxHead = 8 << 20
)

// fill writes an entry to a new file in tmp. It isn't synced: after a loss of power
// the digests tell, and asking the origin again is cheaper.
func (d *disk) fill(e *entry) (path string, size int64, err error) {
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(e.head); err != nil {
		return "", 0, err
	}
	text := encoded.Bytes()
	if len(text) > maxHead {
		return "", 0, fmt.Errorf("the header has %d bytes", len(text))
	}
	prefix := make([]byte, 0, prefixSize)
	prefix = append(prefix, magic...)
	prefix = binary.BigEndian.AppendUint32(prefix, uint32(len(text)))
	prefix = binary.BigEndian.AppendUint64(prefix, uint64(len(e.body)))
	body := sha256.Sum256(e.body)
	prefix = append(prefix, body[:]...)
	seal := sealOf(prefix, text)
	prefix = append(prefix, seal[:]...)

	f, err := os.CreateTemp(d.tmp(), "answer-")
	if err != nil {
		return "", 0, err
	}
	for _, part := range [][]byte{prefix, text, e.body} {
		if _, err = f.Write(part); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), int64(prefixSize + len(text) + len(e.body)), nil
}

func sealOf(prefix, text []byte) (d digest) {
	h := sha256.New()
	h.Write(prefix)
	h.Write(text)
	h.Sum(d[:0])
	return d
}

// open opens the file of an answer and reads its head.
func (d *disk) open(f *file) (in *os.File, h head, body digest, length int64, err error) {
	fail := func(err error) (*os.File, head, digest, int64, error) {
		if in != nil {
			err = errors.Join(err, in.Close())
		}
		return nil, head{}, digest{}, 0, err
	}
	// It follows no symbolic link and waits for no writer of a pipe.
	in, err = os.OpenFile(d.place(f.name()), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail(err)
	}
	info, err := in.Stat()
	if err != nil {
		return fail(err)
	}
	prefix := make([]byte, prefixSize)
	if _, err := io.ReadFull(in, prefix); err != nil {
		return fail(err)
	}
	rest, ok := bytes.CutPrefix(prefix, []byte(magic))
	textLength := int64(binary.BigEndian.Uint32(rest))
	length = int64(binary.BigEndian.Uint64(rest[4:]) & (1<<63 - 1))
	if !ok || !info.Mode().IsRegular() || textLength > maxHead || info.Size()-int64(prefixSize)-textLength != length {
		return fail(errors.New("its lengths are not those of a file of the cache"))
	}
	text := make([]byte, textLength)
	if _, err := io.ReadFull(in, text); err != nil {
		return fail(err)
	}
	seal := sealOf(prefix[:prefixSize-sha256.Size], text)
	if !bytes.Equal(seal[:], prefix[prefixSize-sha256.Size:]) {
		return fail(errors.New("the digest of its head does not match"))
	}
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&h); err != nil {
		return fail(err)
	}
	if h.Resource != f.resource {
		return fail(errors.New("it is the answer of another resource"))
	}
	copy(body[:], rest[12:])
	return in, h, body, length, nil
}

// readHead reads the head of a file, and none of its body.
func (d *disk) readHead(f *file) (head, error) {
	in, h, _, _, err := d.open(f)
	if err != nil {
		return head{}, err
	}
	return h, in.Close()
}

// read reads a file, all of which is checked.
func (d *disk) read(f *file) (_ *entry, err error) {
	in, h, want, length, err := d.open(f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if length > d.bound {
		return nil, fmt.Errorf("its body has %d bytes", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if digest(sha256.Sum256(body)) != want {
		return nil, errors.New("the digest of its body does not match")
	}
	return newEntry(h, body, 0), nil
}
