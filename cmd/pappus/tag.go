package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pappus/registry"
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
  pappus tag wordcount latest stable      # roll back
  pappus tag wordcount canary --rm`,
		Args: func(cmd *cobra.Command, args []string) error {
			if remove {
				return takes(2, 2)(cmd, args)
			}
			return takes(3, 3)(cmd, args)
		},
		ValidArgsFunction: c.completeTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.checkTagging(args, remove); err != nil {
				return err
			}
			if remove {
				return c.removeTag(cmd, args[0], args[1])
			}
			return c.setTag(cmd, args[0], args[1], args[2])
		},
	}
	cmd.Flags().BoolVar(&remove, "rm", false, "remove the tag")
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print nothing")
	return cmd
}

// checkTagging holds the arguments to their forms.
func (c *commandLine) checkTagging(args []string, remove bool) error {
	if err := c.functionName(args[0]); err != nil {
		return err
	}
	if err := checkTag(args[1]); err != nil {
		return err
	}
	if remove {
		c.called.Tag = args[1]
		return nil
	}
	ref, err := registry.ParseRef(args[0] + "@" + args[2])
	if err != nil {
		return badName(err, "TARGET is the number of a version, its digest like sha256:DIGEST, or a tag; see: pappus ls "+args[0])
	}
	c.called.Tag = ref.Tag
	return nil
}

// removedTag is what tag --rm prints as a record.
type removedTag struct {
	Name    string `json:"name"`
	Removed string `json:"removed"`
}

func (c *commandLine) removeTag(cmd *cobra.Command, name, tag string) error {
	switch c.form.kind {
	case "", formJSON, formName:
	default:
		return usage("leave -o out or use -o json", "-o %s: a tag that is removed has no such form", c.form.kind)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	if err := cl.RemoveTag(cmd.Context(), name, tag); err != nil {
		return err
	}
	switch {
	case c.quiet:
		return nil
	case c.json:
		return c.printJSON(removedTag{name, tag})
	}
	_, err = fmt.Fprintf(c.stdout, "removed %s@%s\n", name, tag)
	return err
}

func (c *commandLine) setTag(cmd *cobra.Command, name, tag, target string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if !isVersion(target) {
		f, err := cl.GetFunction(cmd.Context(), name+"@"+target)
		if err != nil {
			return err
		}
		target = f.Digest
	}
	f, err := cl.SetTag(cmd.Context(), name, tag, target)
	switch {
	case err != nil:
		return err
	case c.quiet:
		return nil
	case c.form.kind != "":
		return showOne(c, versionView(), *f)
	}
	_, err = fmt.Fprintf(c.stdout, "%s@%s is version %d\n", f.Name, tag, f.Version)
	return err
}

// isVersion reports whether a target is a number or a digest. All else is a
// tag.
func isVersion(target string) bool {
	return strings.HasPrefix(target, "sha256:") || strings.Trim(target, "0123456789") == ""
}
