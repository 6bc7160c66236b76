package settings

import (
	"fmt"
	"strings"
)

// Error is a mistake in a configuration: where it is, what is wrong, and what
// to do.
type Error struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`   // in the file, from 1; 0: all of it
	Column   int    `json:"column,omitempty"` // in characters, from 1; 0: not known
	Variable string `json:"variable,omitempty"`
	Flag     string `json:"flag,omitempty"`
	Key      string `json:"key,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// Error is all of it on one line.
func (e *Error) Error() string {
	var b strings.Builder
	part := func(text string) {
		if text != "" {
			b.WriteString(text + ": ")
		}
	}
	if e.File != "" {
		part(Place{Kind: FromFile, File: e.File, Line: e.Line, Column: e.Column}.String())
	}
	part(e.Variable)
	part(e.Flag)
	if e.File != "" {
		part(e.Key)
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Errors are all mistakes that were found.
type Errors []*Error

// Error is the only one, or how many there are with all of them.
func (e Errors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return fmt.Sprintf("%d mistakes: %s", len(e), strings.Join(lines, "; "))
}

// orNil keeps a list without errors from being an error.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
