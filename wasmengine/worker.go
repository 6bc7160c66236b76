package wasmengine

import (
	"context"
	"io"

	"pappus/wasmengine/compiler"
)

// CompileWorker is the main function of a compile process, which
// Config.Compiler starts: see compiler.Work. It returns the process's exit
// status, or calls exit with one.
func CompileWorker(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, exit func(status int)) int {
	return compiler.Work(ctx, stdin, stdout, stderr, exit)
}
