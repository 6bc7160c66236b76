package samples

import (
	"embed"
	"io/fs"
)

//go:embed */*.wasm */cases
var files embed.FS

// Files holds NAME/NAME.wasm and NAME/cases for every sample, as in the
// repository. It may be used from many goroutines.
func Files() fs.FS { return files }
