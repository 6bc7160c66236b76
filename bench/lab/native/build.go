package native

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ErrNoCompiler is of a machine without a C compiler.
var ErrNoCompiler = errors.New("there is no gcc")

// Build makes a program of its own of the same work, which reads the size from
// its input and writes the checksum to its output. It is linked statically, so
// that it starts as quickly as it can. The folder root is the repository's.
func Build(ctx context.Context, root, program string) error {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return ErrNoCompiler
	}
	here := filepath.Join(root, "bench", "lab", "native")
	args := []string{"-O3", "-static", "-o", program, "-I", here, "-I", filepath.Join(root, "samples", "matmul"), filepath.Join(here, "program", "program.c")}
	if out, err := exec.CommandContext(ctx, gcc, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}
