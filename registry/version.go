package registry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"pappus/data"
	"pappus/engine"
)

// DefaultTenant is the tenant of those who have no keys.
const DefaultTenant = "default"

// LatestTag is what a bare name means.
const LatestTag = "latest"

// Kind is what a name stands for. Functions and compositions share one
// namespace.
type Kind string

// Kinds of names.
const (
	KindFunction    Kind = "function"     // code
	KindComposition Kind = "composition"  // a graph of applications
	KindIO          Kind = "I/O function" // trusted code of the platform; never stored, see Use.IO
)

// Version is one immutable version of a function or a composition. Versions are
// shared: nobody writes to one that was handed out.
type Version struct {
	Tenant      string
	Name        string
	Kind        Kind
	Number      int64              // from 1, never used again
	Digest      data.Digest        // of what makes it what it is; what "@sha256:" names
	Code        map[string]CodeRef // by engine name; a composition has none
	Signature   engine.Signature
	Limits      engine.Limits
	Layout      string
	Memo        string
	Description string
	Created     time.Time

	// Of compositions only. List and Versions leave them out.
	Source string // as it was written
	Graph  []byte // as the caller encoded it
	Uses   []Use  // what it applies
}

// CodeRef refers to code by the SHA-256 of its bytes.
type CodeRef struct {
	Digest data.Digest `json:"digest"`
	Size   int64       `json:"size"` // bytes
}

// Registration is what Put makes a version of.
type Registration struct {
	Tenant, Name string
	Kind         Kind                   // "": a function
	Code         map[string][]byte      // by engine name
	Digests      map[string]data.Digest // of Code, where the caller knows them
	Signature    engine.Signature
	Limits       engine.Limits
	Layout, Memo string
	Description  string
	Tags         []string // tags to move; none: latest

	// Of compositions only. The graph's encoding is the caller's; it has to be
	// the same for the same graph, since the digest is taken of it and not of
	// the source.
	Source string
	Graph  []byte
	Uses   []Use

	// Force moves the tags also where that breaks compositions.
	Force bool

	// Approve, if it is not nil, is called once the code is stored and before
	// the version is. Its error ends Put, and nothing is visible.
	Approve func() error
}

// Ref names a version: by tag, by number, by digest, or, with none of them, by
// the tag latest. At most one of the three is set.
type Ref struct {
	Name   string
	Tag    string
	Number int64
	Digest data.Digest
}

// Change says how a change of a name is meant.
type Change struct {
	Kind  Kind // what the name has to stand for; "" for either
	Force bool // also where compositions that use it are left broken
}

// identity is what a function's digest is the digest of, as canonical JSON:
// members in this order, no white space, map keys sorted.
type identity struct {
	Code    map[string]data.Digest `json:"code"`
	Inputs  []engine.Param         `json:"inputs"`
	Outputs []engine.Param         `json:"outputs"`
	Open    bool                   `json:"open,omitempty"`
	Limits  engine.Limits          `json:"limits"`
	Layout  string                 `json:"layout"`
	Memo    string                 `json:"memo"`
}

// digestOf is the digest of a version with this code and these settings.
func digestOf(code map[string]CodeRef, sig engine.Signature, lim engine.Limits, layout, memo string) (data.Digest, error) {
	id := identity{Code: make(map[string]data.Digest, len(code)), Inputs: sig.Inputs, Outputs: sig.Outputs, Open: sig.Open, Limits: lim, Layout: layout, Memo: memo}
	for name, ref := range code {
		id.Code[name] = ref.Digest
	}
	if id.Inputs == nil {
		id.Inputs = []engine.Param{}
	}
	if id.Outputs == nil {
		id.Outputs = []engine.Param{}
	}
	b, err := json.Marshal(id)
	if err != nil {
		return data.Digest{}, fmt.Errorf("digest of a version: %w", err)
	}
	return sha256.Sum256(b), nil
}
