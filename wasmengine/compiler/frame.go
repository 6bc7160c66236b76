package compiler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what is said between the processes, in bytes. A module is larger
// once it is metered than the largest that may be uploaded.
const (
	maxDir    = 4 << 10
	maxModule = 1 << 30
	maxText   = 16 << 10
)

// errFrame says that the other side does not keep to the form.
var errFrame = errors.New("nonsense from the other process")

// A verdict is what became of a module.
type verdict byte

const (
	compiled   verdict = 1
	invalid    verdict = 2 // the module does not validate
	unable     verdict = 3 // the compiler panicked
	unwritable verdict = 4 // the folder could not be used
)

// writeRequest asks for a module to be compiled into a folder:
// length of the folder's path (4 bytes, big-endian), of the module (8), both.
func writeRequest(w io.Writer, dir string, code []byte) error {
	if len(dir) > maxDir || len(code) > maxModule {
		return fmt.Errorf("%w: a path of %d bytes, a module of %d", errFrame, len(dir), len(code))
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(dir)))
	head = binary.BigEndian.AppendUint64(head, uint64(len(code)))
	if _, err := w.Write(append(head, dir...)); err != nil {
		return err
	}
	_, err := w.Write(code)
	return err
}

// readRequest returns io.EOF if there is none any more.
func readRequest(r io.Reader) (dir string, code []byte, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", nil, err
	}
	d, c := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint64(head[4:])
	if d > maxDir || c > maxModule {
		return "", nil, fmt.Errorf("%w: a path of %d bytes, a module of %d", errFrame, d, c)
	}
	path, code := make([]byte, d), make([]byte, c)
	if _, err := io.ReadFull(r, path); err != nil {
		return "", nil, cut(err)
	}
	if _, err := io.ReadFull(r, code); err != nil {
		return "", nil, cut(err)
	}
	return string(path), code, nil
}

// writeReply says what became of a module: the verdict (1 byte), the length of
// a text that explains it (4 bytes, big-endian), the text.
func writeReply(w io.Writer, v verdict, text string) error {
	text = text[:min(len(text), maxText)]
	b := binary.BigEndian.AppendUint32([]byte{byte(v)}, uint32(len(text)))
	_, err := w.Write(append(b, text...))
	return err
}

func readReply(r io.Reader) (v verdict, text string, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", cut(err)
	}
	v = verdict(head[0])
	n := binary.BigEndian.Uint32(head[1:])
	if v < compiled || v > unwritable || n > maxText {
		return 0, "", fmt.Errorf("%w: verdict %d, a text of %d bytes", errFrame, v, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, "", cut(err)
	}
	return v, string(b), nil
}

// cut is what an end within a frame is.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
