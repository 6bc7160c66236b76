// Package sdk has the tests of the SDKs whose functions are built on the spot,
// because what comes of them is too large to be kept: they are built, made pure
// and run in an engine.
package sdk
