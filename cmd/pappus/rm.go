package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *commandLine) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm REF",
		Short: "Delete a function, or one version of it",
		Long: `Deletes a function with all of its versions and tags, or only the version that
NAME@NUMBER or NAME@sha256:DIGEST names. Version numbers are never used again.`,
		Example: `  pappus rm wordcount@2
  pappus rm wordcount`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			if err := cl.DeleteFunction(cmd.Context(), args[0]); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]string{"deleted": args[0]})
			}
			_, err = fmt.Fprintf(c.stdout, "deleted %s\n", args[0])
			return err
		},
	}
}
