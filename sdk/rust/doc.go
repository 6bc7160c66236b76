// Package rust holds the SDK for functions in Rust: the crate pappus. README.md
// shows how to use it.
//
// The Go code is tests, which run functions on the crate in an engine: what its
// allocator does, and its ways to end; and the crate's files, for those who
// build functions.
package rust

import "embed"

// Files are what a function is built with: Cargo.toml and src.
//
//go:embed Cargo.toml src
var Files embed.FS
