package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/registry"
)

func (c *commandLine) tagCommand() *cobra.Command {
	var remove, force bool
	cmd := &cobra.Command{
		Use:   "tag NAME TAG TARGET",
		Short: "Move or remove a tag of a function or composition",
		Long: `Makes a tag of a function or composition name the version TARGET: a number, a
digest, or another tag. A call without a tag means "latest", so moving that is how
a version is rolled back. A tag that compositions apply is not removed, and does
not move to a version with other sets, unless --force says so.`,
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
				return c.removeTag(cmd, args[0], args[1], changing(force)...)
			}
			return c.setTag(cmd, args[0], args[1], args[2], changing(force)...)
		},
	}
	cmd.Flags().BoolVar(&remove, "rm", false, "remove the tag")
	cmd.Flags().BoolVar(&force, "force", false, "do it also where that breaks compositions")
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

// changing makes options of --force.
func changing(force bool) []client.ChangeOption {
	if force {
		return []client.ChangeOption{client.Force()}
	}
	return nil
}

func (c *commandLine) removeTag(cmd *cobra.Command, name, tag string, opts ...client.ChangeOption) error {
	switch c.form.kind {
	case "", formJSON, formName:
	default:
		return usage("leave -o out or use -o json", "-o %s: a tag that is removed has no such form", c.form.kind)
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	_, err = ofKind(func() (struct{}, error) { return struct{}{}, cl.RemoveTag(cmd.Context(), name, tag, opts...) },
		func() (struct{}, error) {
			return struct{}{}, cl.RemoveCompositionTag(cmd.Context(), name, tag, opts...)
		})
	if err != nil {
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

func (c *commandLine) setTag(cmd *cobra.Command, name, tag, target string, opts ...client.ChangeOption) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if !isVersion(target) {
		v, err := lookUp(cmd.Context(), cl, name+"@"+target)
		if err != nil {
			return err
		}
		target = v.Digest
	}
	v, err := ofKind(func() (entry, error) {
		f, err := cl.SetTag(cmd.Context(), name, tag, target, opts...)
		if err != nil {
			return entry{}, err
		}
		return functionEntry(f), nil
	}, func() (entry, error) {
		f, err := cl.SetCompositionTag(cmd.Context(), name, tag, target, opts...)
		if err != nil {
			return entry{}, err
		}
		return compositionEntry(f), nil
	})
	switch {
	case err != nil:
		return err
	case c.quiet:
		return nil
	case c.form.kind != "":
		return showOne(c, versionView(), v)
	}
	_, err = fmt.Fprintf(c.stdout, "%s@%s is version %d\n", v.Name, tag, v.Version)
	return err
}

// isVersion reports whether a target is a number or a digest. All else is a
// tag.
func isVersion(target string) bool {
	return strings.HasPrefix(target, "sha256:") || strings.Trim(target, "0123456789") == ""
}
