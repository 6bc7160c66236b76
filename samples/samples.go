package samples

import (
	"embed"
	"io/fs"
)

//go:embed */*.wasm */*.comp */cases
var files embed.FS

// Files holds NAME/NAME.wasm and NAME/cases for every function, and NAME/NAME.comp
// and perhaps NAME/cases for every composition, as in the repository. It may be used from many goroutines.
func Files() fs.FS { return files }
