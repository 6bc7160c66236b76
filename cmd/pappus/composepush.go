package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/registry"
	"pappus/server/problem"
)

// composing is what the flags of compose push say.
type composing struct {
	name       string
	tags       []string
	pin, force bool
}

func (c *commandLine) composePushCommand() *cobra.Command {
	var p composing
	cmd := &cobra.Command{
		Use:   "push FILE",
		Short: "Register a composition with the server",
		Long: `Registers the source in FILE as a new version of a composition and moves the tag
"latest" to it, or only the tags that --tag names. A source that means the same
gives the version that exists. FILE is - for stdin.

The name is that of the composition in FILE that no other one there applies; of a
script, the file's without its ending.

What a composition applies is what its names mean when a call begins. With --pin
they mean what they mean now: the digest of each is written into the source that
is sent, the file stays as it is. Names in scripts can't be pinned; write those as
applications, with function NAME = "REFERENCE" (…) => (…);`,
		Example: `  pappus compose push logcount.comp
  pappus compose push logcount.comp --name count --tag canary
  pappus compose push logcount.comp --pin
  pappus invoke $(pappus compose push logcount.comp --quiet) --in logs=logs --in pattern=text:ERROR`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.check(); err != nil {
				return err
			}
			source, err := c.readComposition(args[0])
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			pushed, created, err := p.push(cmd.Context(), cl, source)
			if err != nil {
				return source.refused(err)
			}
			return c.showComposed(cmd.ErrOrStderr(), source, pushed, created)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.name, "name", "", "`NAME` of the composition")
	flags.StringArrayVar(&p.tags, "tag", nil, "`TAG` to move to this version instead of latest; may be repeated")
	flags.BoolVar(&p.pin, "pin", false, "have it always apply what its names mean now")
	flags.BoolVar(&p.force, "force", false, "move the tags also where other compositions need the sets that it had")
	c.bindForm(flags, allForms)
	c.bindQuiet(flags, "print NAME@VERSION only, and no warnings")
	return cmd
}

// check holds the flags to what can be known before anything is sent.
func (p *composing) check() error {
	if p.name != "" {
		if err := registry.CheckName(p.name); err != nil {
			return badName(err, nameHint)
		}
	}
	return checkTags(p.tags)
}

// push registers a source. One that has no name because of its mistakes is only
// checked, since the server may know of more.
func (p *composing) push(ctx context.Context, cl *client.Client, source composeSource) (*client.Composition, bool, error) {
	name, err := p.nameOf(ctx, source)
	var invalid *composition.InvalidError
	if errors.As(err, &invalid) {
		if _, refused := cl.CheckComposition(ctx, "", source.text); isProblem(refused, problem.InvalidComposition) {
			err = refused
		}
	}
	if err != nil {
		return nil, false, err
	}
	text := source.text
	if p.pin {
		if text, err = pin(ctx, cl, text); err != nil {
			return nil, false, err
		}
	}
	return cl.PutComposition(ctx, name, text, client.CompositionOptions{Tags: p.tags, Force: p.force})
}

// nameOf is the name under which a source is registered.
func (p *composing) nameOf(ctx context.Context, source composeSource) (string, error) {
	const hint = "name it with --name; " + nameHint
	switch {
	case p.name != "":
		return p.name, nil
	case !composition.IsScript(source.text):
		g, _, err := composition.Compile(ctx, source.text, composition.Options{})
		if err != nil {
			return "", err
		}
		name := g.Entry().Name
		if err := registry.CheckName(name); err != nil {
			return "", badName(err, hint)
		}
		return name, nil
	case source.file == sourceStdin:
		return "", usage(hint, "what comes from stdin has no name")
	}
	name := strings.TrimSuffix(filepath.Base(source.file), filepath.Ext(source.file))
	if err := registry.CheckName(name); err != nil {
		return "", badName(err, hint)
	}
	return name, nil
}

// pin writes the digests of what a source refers to into it. What is not there
// stays, for the server to say where that is.
func pin(ctx context.Context, cl *client.Client, source string) (string, error) {
	text, err := composition.Pin(source, func(reference string) (data.Digest, error) {
		ref, err := registry.ParseRef(reference)
		if err != nil || registry.Reserved(ref.Name) {
			return data.Digest{}, nil //nolint:nilerr // the server says so, with the place
		}
		v, err := lookUp(ctx, cl, ref.String())
		var missing *client.Problem
		switch {
		case errors.As(err, &missing) && missing.Status == http.StatusNotFound:
			return data.Digest{}, nil
		case err != nil:
			return data.Digest{}, err
		}
		return data.ParseDigest(v.Digest)
	})
	if errors.Is(err, composition.ErrScript) {
		err = usage(`write it as applications, with function NAME = "REFERENCE" (…) => (…); for each that is applied; or leave --pin out`, "--pin: the names in a script can't be pinned")
	}
	return text, err
}

// refused says of a source what the server does, or what was found here.
func (s composeSource) refused(err error) error {
	var invalid *composition.InvalidError
	if errors.As(err, &invalid) {
		return s.failure(err)
	}
	var p *client.Problem
	if !isProblem(err, problem.InvalidComposition) || !errors.As(err, &p) || len(p.Errors) == 0 {
		return err
	}
	return compositionFailure(s.mistakes(diagnostics(p.Errors, false)), p.MoreErrors, err)
}

// diagnostics are those of a server, each text on one line.
func diagnostics(list []client.Located, warnings bool) []composition.Diagnostic {
	all := make([]composition.Diagnostic, len(list))
	for i, l := range list {
		all[i] = composition.Diagnostic{
			Position: composition.Position{Line: l.Line, Column: l.Column}, Warning: warnings,
			Message: oneLine(l.Message), Hint: oneLine(l.Hint), Source: strings.NewReplacer("\r", " ", "\n", " ").Replace(l.Source),
			Caret: max(0, min(l.Caret, len(l.Source))),
		}
	}
	return all
}

// showComposed prints what came of a push.
func (c *commandLine) showComposed(stderr io.Writer, source composeSource, pushed *client.Composition, created bool) error {
	if c.form.kind == "" {
		for _, w := range source.mistakes(diagnostics(pushed.Warnings, true)) {
			if _, err := io.WriteString(stderr, w.text); err != nil {
				return err
			}
		}
	}
	v := versionView()
	v.text = func(w io.Writer, v entry) error {
		what := "registered"
		if !created {
			what = "unchanged"
		}
		_, err := fmt.Fprintf(w, "%s %s@%d %s\n", what, v.Name, v.Version, v.Digest)
		return err
	}
	return showOne(c, v, compositionEntry(pushed))
}
