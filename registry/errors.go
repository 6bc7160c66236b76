package registry

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the registry, besides *NotFoundError, *NameError, *BreaksError,
// *InUseError, *UsesError and *CycleError.
var (
	// ErrReservedName: the name belongs to an I/O function.
	ErrReservedName = errors.New("the name is reserved for I/O functions")
	// ErrOtherKind: the name is taken by something of another kind.
	ErrOtherKind = errors.New("the name is taken by something of another kind")
	// ErrInUse: the version can't be deleted while something refers to it.
	ErrInUse = errors.New("in use")
	// ErrTooManyTags: the name would have more than MaxTags.
	ErrTooManyTags = errors.New("too many tags")
	// ErrTooLarge: the composition, or all that it reaches, is too large.
	ErrTooLarge = errors.New("the composition is too large")
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
	What  string // "function", "composition", "I/O function", "version", "tag", "digest" or "code"
	Name  string // as it was asked for
	Other Kind   // what the name is instead; "" if it is nothing

	Known []string // I/O functions that there are, where it is one that is missing
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("%s %.140q not found", e.What, e.Name)
	if e.Other != "" {
		article := "a"
		if e.Other == KindIO {
			article = "an"
		}
		text += fmt.Sprintf("; it is %s %s", article, e.Other)
	}
	return text
}

// User is a composition that uses a name.
type User struct {
	Name    string
	Number  int64
	Ref     Ref    // by which it uses the name
	Differs string // how the sets differ from those that it was checked against; "" where that is not the matter
}

func (u User) String() string {
	text := fmt.Sprintf("%s uses %s", versionID{u.Name, u.Number}, u.Ref)
	if u.Differs != "" {
		text += " (" + u.Differs + ")"
	}
	return text
}

// maxNamed is how many users the text of an error names.
const maxNamed = 5

func listUsers(users []User, more int) string {
	parts := make([]string, 0, maxNamed+1)
	for _, u := range users[:min(len(users), maxNamed)] {
		parts = append(parts, u.String())
	}
	if more += len(users) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// BreaksError says which compositions a change would leave without the sets
// that they were checked against.
type BreaksError struct {
	Version string // "NAME@3": the version that a tag would name
	Users   []User // the first 100
	More    int    // how many more there are
}

func (e *BreaksError) Error() string {
	return fmt.Sprintf("the signature of %s breaks compositions: %s; use another tag, or force it", e.Version, listUsers(e.Users, e.More))
}

// InUseError says which compositions use what would be removed. It is ErrInUse.
type InUseError struct {
	What  string // what would be removed: "NAME", "NAME@3" or "NAME@tag"
	Users []User // the first 100
	More  int    // how many more there are
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s is in use: %s; change them first, or force it", e.What, listUsers(e.Users, e.More))
}

// Unwrap is ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

// UsesError says which references of a composition do not mean what it was
// checked against. It is not a *NotFoundError: what was asked for exists.
type UsesError struct {
	User string // "NAME@3"
	Uses []BadUse
}

// BadUse is one of them.
type BadUse struct {
	Ref     Ref
	Missing *NotFoundError // nil if it exists
	Differs string         // how its sets differ from those that were checked
}

func (e *UsesError) Error() string {
	parts := make([]string, 0, maxNamed+1)
	for _, u := range e.Uses[:min(len(e.Uses), maxNamed)] {
		if u.Missing != nil {
			parts = append(parts, u.Missing.Error())
		} else {
			parts = append(parts, fmt.Sprintf("%s has other sets (%s)", u.Ref, u.Differs))
		}
	}
	if n := len(e.Uses) - len(parts); n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", n))
	}
	return fmt.Sprintf("what %s uses is not what it was checked against: %s; push it again", e.User, strings.Join(parts, "; "))
}

// CycleError says how a composition reaches itself.
type CycleError struct {
	Path []string // "NAME@3"; the last is the first
}

func (e *CycleError) Error() string {
	path := e.Path
	if n := len(path); n > 2*maxNamed {
		path = append(append(append([]string{}, path[:maxNamed]...), fmt.Sprintf("%d more", n-2*maxNamed)), path[n-maxNamed:]...)
	}
	return "a composition would apply itself: " + strings.Join(path, " → ")
}

// inUse is an ErrInUse that says what refers to the version.
type inUse string

func (e inUse) Error() string      { return string(e) }
func (inUse) Is(target error) bool { return target == ErrInUse }
