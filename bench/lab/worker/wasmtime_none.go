//go:build !cgo

package worker

import "errors"

func newWasmtime(string, bool, bool) (runner, error) { return nil, errors.New("built without cgo") }
