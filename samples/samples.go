package samples

import (
	"embed"
	"io/fs"
)

//go:embed */*.wasm */*.elf */*.comp */cases
var files embed.FS

// Files holds NAME/NAME.wasm and NAME/cases for every function, NAME/NAME.elf for those
// that are built for Morello too, and NAME/NAME.comp
// and perhaps NAME/cases for every composition, as in the repository. It may be used from many goroutines.
func Files() fs.FS { return files }
