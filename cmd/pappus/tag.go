package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (c *commandLine) tagCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "tag NAME TAG TARGET",
		Short: "Move or remove a tag of a function",
		Long: `Makes a tag of a function name the version TARGET: a number, a digest, or another
tag. A call without a tag means "latest", so moving that is how a version is
rolled back.`,
		Example: `  pappus tag wordcount stable 3
  pappus tag wordcount latest stable     (roll back)
  pappus tag wordcount canary --rm`,
		Args: func(cmd *cobra.Command, args []string) error {
			if remove {
				return cobra.ExactArgs(2)(cmd, args)
			}
			return cobra.ExactArgs(3)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			if remove {
				if err := cl.RemoveTag(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				if c.json {
					return c.printJSON(map[string]string{"name": args[0], "removed": args[1]})
				}
				_, err := fmt.Fprintf(c.stdout, "removed %s@%s\n", args[0], args[1])
				return err
			}
			target := args[2]
			if !isVersion(target) {
				f, err := cl.GetFunction(cmd.Context(), args[0]+"@"+target)
				if err != nil {
					return err
				}
				target = f.Digest
			}
			f, err := cl.SetTag(cmd.Context(), args[0], args[1], target)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(f)
			}
			_, err = fmt.Fprintf(c.stdout, "%s@%s is version %d\n", f.Name, args[1], f.Version)
			return err
		},
	}
	cmd.Flags().BoolVar(&remove, "rm", false, "remove the tag")
	return cmd
}

// isVersion reports whether a target is a number or a digest. All else is a
// tag.
func isVersion(target string) bool {
	return strings.HasPrefix(target, "sha256:") || strings.Trim(target, "0123456789") == ""
}
