package data

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Longest names in bytes.
const (
	MaxSetName  = 255
	MaxItemName = 1024
)

// NameError says why a set's or an item's name is not legal.
type NameError struct {
	What   string // "set name" or "item name"
	Name   string // as it came; may hold anything, so quote it
	Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%s %.120q %s", e.What, e.Name, e.Reason)
}

// CheckSetName returns a *NameError unless name is legal for a set: 1 to 255
// bytes of UTF-8 without control characters, line or paragraph separators,
// and "/", and neither "." nor "..". (Sets become directories.)
func CheckSetName(name string) error {
	var reason string
	switch {
	case name == "":
		reason = "is empty"
	case len(name) > MaxSetName:
		reason = fmt.Sprintf("is longer than %d bytes", MaxSetName)
	case name == "." || name == "..":
		reason = "is reserved for directories"
	case strings.Contains(name, "/"):
		reason = `contains "/"`
	default:
		reason = badText(name)
	}
	if reason == "" {
		return nil
	}
	return &NameError{What: "set name", Name: name, Reason: reason}
}

// CheckItemName returns a *NameError unless name is legal for an item: at most
// 1,024 bytes of UTF-8 without control characters, line or paragraph
// separators. It may be empty.
func CheckItemName(name string) error {
	var reason string
	if len(name) > MaxItemName {
		reason = fmt.Sprintf("is longer than %d bytes", MaxItemName)
	} else {
		reason = badText(name)
	}
	if reason == "" {
		return nil
	}
	return &NameError{What: "item name", Name: name, Reason: reason}
}

// badText says what is wrong with the characters of a name, or "".
func badText(name string) string {
	ascii := true
	for i := range len(name) {
		c := name[i]
		if c < 0x20 || c == 0x7f {
			return fmt.Sprintf("contains the control character U+%04X", c)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return ""
	}
	if !utf8.ValidString(name) {
		return "is not UTF-8"
	}
	for _, r := range name {
		if r >= 0x80 && r <= 0x9f || r == '\u2028' || r == '\u2029' {
			return fmt.Sprintf("contains the control character U+%04X", r)
		}
	}
	return ""
}
