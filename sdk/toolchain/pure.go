package toolchain

import (
	"errors"
	"io/fs"

	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine/binary"
)

// manifestFile is where a project says what its function takes and gives, in a
// language that can't say it in its sources.
const manifestFile = "pappus.json"

// defaultManifest is that of programs which say nothing: filters, or such as read
// files of one directory and leave files in another. purify has the same.
const defaultManifest = `{"inputs":["stdio","input"],"outputs":["stdio","output"]}`

// finishLinked gives a module that is linked with the runtime of sdk/c a manifest
// if it has none.
func finishLinked(module []byte, b *Build) ([]byte, error) {
	module = onlyLines(module)
	m, err := binary.Decode(module, binary.DefaultCaps())
	if err != nil {
		return module, nil //nolint:nilerr // whoever looks at the module says what is wrong with it
	}
	if _, ok := m.Custom(manifestSection); ok {
		return module, nil
	}
	text, err := readManifest(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !usesLibc(b.Project) {
			return module, nil
		}
		text, err = []byte(defaultManifest), nil
	}
	if err != nil {
		return nil, err
	}
	if text, err = manifestOf(text); err != nil {
		return nil, err
	}
	content := append(binary.AppendName(nil, manifestSection), text...)
	return append(binary.AppendU32(append(module, 0), uint32(len(content))), content...), nil
}

// manifestSection is the custom section that holds the manifest.
const manifestSection = "pappus"

// finishPure makes a pure function of a program that was built for WASI.
func finishPure(module []byte, b *Build) ([]byte, error) {
	var o purify.Options
	text, err := readManifest(b.Dir)
	switch {
	case err == nil:
		if _, err := engine.ParseManifest(text); err != nil {
			return nil, &purify.Error{Reason: manifestFile + ": " + err.Error(), Hint: `it looks like {"inputs": ["text"], "outputs": ["counts"], "limits": {"memory": "128MiB"}}`, Err: err}
		}
		o.Manifest = text
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return purify.Purify(module, o)
}
