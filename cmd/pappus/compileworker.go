package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pappus/wasmengine"
)

// compileWorker is the verb by which the engine starts this program to compile
// one module apart from everything else.
const compileWorker = "compile-worker"

func (c *commandLine) compileWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    compileWorker + " DIR",
		Short:  "Compile the module on stdin into DIR (used by serve and run)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if status := wasmengine.CompileWorker(cmd.Context(), args[0], c.stdin, c.stderr); status != exitOK {
				return exitStatus(status)
			}
			return nil
		},
	}
}

// exitStatus ends the process with a status and says nothing more.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
