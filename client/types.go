package client

import (
	"encoding/json"
	"time"
)

// Function describes one version of a function.
type Function struct {
	Name        string           `json:"name"`
	Version     int64            `json:"version"`
	Digest      string           `json:"digest"` // "sha256:…", of everything that makes the version what it is
	CodeDigest  string           `json:"code_digest,omitempty"`
	Engine      string           `json:"engine,omitempty"`
	Description string           `json:"description,omitempty"`
	Inputs      []Param          `json:"inputs"`
	Outputs     []Param          `json:"outputs"`
	Open        bool             `json:"open,omitempty"` // it has been given no signature
	Limits      Limits           `json:"limits"`
	Layout      string           `json:"layout,omitempty"`
	Memo        string           `json:"memo,omitempty"`
	Size        int64            `json:"size,omitempty"` // of the code, in bytes
	Created     time.Time        `json:"created,omitzero"`
	Tags        map[string]int64 `json:"tags,omitempty"` // of the function: tag and version
}

// Limits bound what one run may take. Sizes are like "64MiB", durations like
// "10s"; a Fuel of 0 is no limit but the timeout.
type Limits struct {
	Memory  string `json:"memory,omitempty"`
	Stack   string `json:"stack,omitempty"`
	Output  string `json:"output,omitempty"`
	Items   int    `json:"items,omitempty"`
	Fuel    int64  `json:"fuel,omitempty"`
	Timeout string `json:"timeout,omitempty"`
}

// Param is one input or output set of a signature.
type Param struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"` // "item": exactly one item; "" or "set": any number
	ContentType string `json:"content_type,omitempty"`
}

// UnmarshalJSON reads a name alone, or an object.
func (p *Param) UnmarshalJSON(b []byte) error {
	*p = Param{}
	if json.Unmarshal(b, &p.Name) == nil {
		return nil
	}
	type object Param // without this method
	return json.Unmarshal(b, (*object)(p))
}

// MarshalJSON gives the name alone where there is nothing else to say, as the
// API does.
func (p Param) MarshalJSON() ([]byte, error) {
	if p.ContentType == "" && (p.Type == "" || p.Type == "set") {
		return json.Marshal(p.Name)
	}
	type object Param // without this method
	return json.Marshal(object(p))
}

// Page is a part of a list.
type Page struct {
	Items []Function `json:"items"`
	Next  string     `json:"next,omitempty"` // cursor of the next page; "" if this is the last
}
