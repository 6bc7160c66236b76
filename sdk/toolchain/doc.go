// Package toolchain makes functions of source code: it knows which languages
// there are, how a project of each is recognised and begun, which tools it
// needs, and what they are called with.
//
// It owns the table of languages (languages.go) and nothing of what a module
// must be to be accepted. It runs the tools that it finds in PATH and no shell,
// keeps SDKs and their objects in a cache folder, and may know the SDKs.
package toolchain
