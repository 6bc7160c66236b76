package registry

import (
	"errors"
	"fmt"
)

// Errors of the registry, besides *NotFoundError and *NameError.
var (
	// ErrReservedName: the name belongs to an I/O function.
	ErrReservedName = errors.New("the name is reserved for I/O functions")
	// ErrOtherKind: the name is taken by something of another kind.
	ErrOtherKind = errors.New("the name is taken by something of another kind")
	// ErrInUse: the version can't be deleted while something refers to it.
	ErrInUse = errors.New("in use")
	// ErrDamaged: what the data directory holds is not what was stored.
	ErrDamaged = errors.New("the data directory is damaged")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("the data directory is in use by another process")
	// ErrFormat: the data directory has a format that this version can't read.
	ErrFormat = errors.New("the data directory has another format")
	// ErrClosed: the registry was closed.
	ErrClosed = errors.New("the registry is closed")
)

// NotFoundError says what does not exist.
type NotFoundError struct {
	What string // "function", "version", "tag", "digest" or "code"
	Name string // as it was asked for
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %.140q not found", e.What, e.Name) }

// inUse is an ErrInUse that says what refers to the version.
type inUse string

func (e inUse) Error() string      { return string(e) }
func (inUse) Is(target error) bool { return target == ErrInUse }
