package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pappus/registry"
)

func (c *commandLine) rmCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm REF",
		Short: "Delete a function or composition, or one version of it",
		Long: `Deletes a function or composition with all of its versions and tags, or only the
version that NAME@NUMBER or NAME@sha256:DIGEST names. Version numbers are never
used again. What compositions apply is deleted only with --force.`,
		Example: `  pappus rm wordcount@2
  pappus rm wordcount`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.quiet && c.json {
				return usage("choose one of them", "--quiet and --json exclude each other")
			}
			if err := c.reference(args[0]); err != nil {
				return err
			}
			if ref, err := registry.ParseRef(args[0]); err == nil && ref.Tag != "" {
				return usage("name the version by its number; or remove the tag alone: pappus tag "+ref.Name+" "+ref.Tag+" --rm", "%s is a tag, which may move to another version", args[0])
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			_, err = ofKind(func() (struct{}, error) {
				return struct{}{}, cl.DeleteFunction(cmd.Context(), args[0], changing(force)...)
			}, func() (struct{}, error) {
				return struct{}{}, cl.DeleteComposition(cmd.Context(), args[0], changing(force)...)
			})
			if err != nil {
				return err
			}
			switch {
			case c.quiet:
				return nil
			case c.json:
				return c.printJSON(map[string]string{"deleted": args[0]})
			}
			_, err = fmt.Fprintf(c.stdout, "deleted %s\n", args[0])
			return err
		},
	}
	c.bindForm(cmd.Flags(), onlyJSON())
	cmd.Flags().BoolVar(&force, "force", false, "delete it also where that breaks compositions")
	c.bindQuiet(cmd.Flags(), "print nothing")
	return cmd
}
