package registry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pappus/data"
)

// maxName is the longest name or tag, in bytes.
const maxName = 128

// NameError says why a name, tag or reference is not legal.
type NameError struct {
	What   string // "name", "tag" or "reference"
	Name   string // as it came; may hold anything, so quote it
	Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%s %.140q %s", e.What, e.Name, e.Reason)
}

// CheckName returns a *NameError unless name is legal for a function: 1 to 128
// of A-Z a-z 0-9 . _ -, the first a letter or digit. Reserved names are legal.
func CheckName(name string) error { return check("name", name) }

// CheckTag returns a *NameError unless tag is legal: as names, but not all digits.
func CheckTag(tag string) error {
	if err := check("tag", tag); err != nil {
		return err
	}
	if strings.Trim(tag, "0123456789") == "" {
		return &NameError{What: "tag", Name: tag, Reason: "is all digits, which would be a version number"}
	}
	return nil
}

func check(what, s string) error {
	var reason string
	switch {
	case s == "":
		reason = "is empty"
	case len(s) > maxName:
		reason = fmt.Sprintf("is longer than %d bytes", maxName)
	case !alphanumeric(s[0]):
		reason = "does not begin with a letter or digit"
	case slices.ContainsFunc([]byte(s), func(c byte) bool { return !alphanumeric(c) && c != '.' && c != '_' && c != '-' }):
		reason = "has characters other than letters, digits, '.', '_' and '-'"
	default:
		return nil
	}
	return &NameError{What: what, Name: s, Reason: reason}
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Reserved reports whether a name belongs to an I/O function.
func Reserved(name string) bool {
	switch name {
	case "HTTP", "BlobGet", "BlobPut", "BlobList", "Pappus":
		return true
	}
	return strings.HasPrefix(name, "system_")
}

// ParseRef reads "name", "name@tag", "name@3" or "name@sha256:…". Its errors
// are *NameError.
func ParseRef(s string) (Ref, error) {
	name, which, qualified := strings.Cut(s, "@")
	if err := CheckName(name); err != nil {
		return Ref{}, err
	}
	ref := Ref{Name: name}
	switch {
	case !qualified:
		return ref, nil
	case strings.HasPrefix(which, data.DigestPrefix):
		d, err := data.ParseDigest(which)
		if err != nil {
			return Ref{}, &NameError{What: "reference", Name: s, Reason: "has no valid digest: " + err.Error()}
		}
		if d.IsZero() { // would look like no digest at all
			return Ref{}, &NameError{What: "reference", Name: s, Reason: "has a digest of zeroes, which is that of nothing"}
		}
		ref.Digest = d
	case which != "" && strings.Trim(which, "0123456789") == "":
		n, err := strconv.ParseInt(which, 10, 64)
		if err != nil || n < 1 || which[0] == '0' {
			return Ref{}, &NameError{What: "reference", Name: s, Reason: "has no valid version number; versions count from 1"}
		}
		ref.Number = n
	default:
		if err := CheckTag(which); err != nil {
			return Ref{}, err
		}
		ref.Tag = which
	}
	return ref, nil
}

// String is the form that ParseRef reads.
func (r Ref) String() string {
	switch {
	case !r.Digest.IsZero():
		return r.Name + "@" + r.Digest.String()
	case r.Number != 0:
		return r.Name + "@" + strconv.FormatInt(r.Number, 10)
	case r.Tag != "":
		return r.Name + "@" + r.Tag
	default:
		return r.Name
	}
}
