//go:build !(linux && arm64)

package chericapengine

// newNative needs a machine that is one.
func newNative() (driver, error) { return nil, errNotMorello }
