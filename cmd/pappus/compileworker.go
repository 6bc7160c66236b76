package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"pappus/wasmengine"
)

// compileWorker is the verb by which the engine starts this program to compile
// modules apart from everything else.
const compileWorker = "compile-worker"

func (c *commandLine) compileWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    compileWorker,
		Short:  "Compile the modules that come on stdin (used by serve and run)",
		Hidden: true,
		Args:   takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status := wasmengine.CompileWorker(cmd.Context(), c.stdin, c.stdout, c.stderr, os.Exit); status != exitOK {
				return exitStatus(status)
			}
			return nil
		},
	}
}

// exitStatus ends the process with a status and says nothing more.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
