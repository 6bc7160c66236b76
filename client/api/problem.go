package api

import (
	"fmt"
	"path"
)

// Code is the last part of the type, as in "trap" or "unknown-function"; ""
// for answers that are no problem documents.
func (p *Problem) Code() string {
	if p.Type == "" || p.Type == "about:blank" {
		return ""
	}
	return path.Base(p.Type)
}

// Error is the code, or the title without one, and the detail.
func (p *Problem) Error() string {
	text := p.Title
	if code := p.Code(); code != "" {
		text = code
	}
	if p.ExitCode != nil {
		text += fmt.Sprintf(" with code %d", *p.ExitCode)
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}
