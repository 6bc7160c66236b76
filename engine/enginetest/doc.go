// Package enginetest is the suite that every engine passes. An engine's own
// test calls Run with a constructor and with fixtures: small functions, built
// for that engine, that behave and misbehave in the ways that Fixtures lists.
//
// It owns what all engines have in common. It knows packages data and engine,
// and no engine.
package enginetest
