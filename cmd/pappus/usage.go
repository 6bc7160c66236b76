package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/internal/suggest"
	"pappus/registry"
	"pappus/server/problem"
)

// misuse makes an error of what was wrong before a verb began.
func misuse(verb *cobra.Command, err error) error {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	return usage("see: "+verb.CommandPath()+" --help", "%w", err)
}

// anyNumber of arguments are taken.
const anyNumber = math.MaxInt

// takes refuses arguments that are too few or too many, in the names that the
// verb's line of use has for them.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "see: " + cmd.CommandPath() + " --help"
		names := strings.Fields(strings.ReplaceAll(cmd.Use, "|", " or "))[1:]
		if strings.Contains(cmd.Use, "|") {
			names = []string{strings.Join(names, " ")} // one argument that can be several things
		}
		names = names[:min(len(names), most)]
		switch n := len(args); {
		case n < least:
			return usage(hint, "%s needs %s", cmd.CommandPath(), strings.Join(names[n:], " "))
		case n > most && most == 0:
			return usage(hint, "%s takes no arguments, and there is %q", cmd.CommandPath(), args[0])
		case n > most:
			return usage(hint, "%s takes %s only, and there is %q too", cmd.CommandPath(), strings.Join(names, " "), args[most])
		}
		return nil
	}
}

// knownVerb refuses verbs that a command with verbs does not have.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var verbs []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			verbs = append(verbs, sub.Name())
		}
	}
	hint := "see: " + cmd.CommandPath() + " --help"
	if like, ok := suggest.Closest(args[0], verbs); ok {
		hint = didYouMean(cmd.CommandPath()+" "+like, hint)
	}
	return usage(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	hint := "see: " + cmd.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if like, ok := suggest.Closest(unknown.GetSpecifiedName(), names); ok {
			hint = didYouMean("--"+like, hint)
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && (slices.Contains(mayHaveSecrets, invalid.GetFlag().Name) || strings.Contains(invalid.GetValue(), "://")) {
		return usage(hint, "invalid argument for %q flag: %w", "--"+invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return usage(hint, "%w", err)
}

// mayHaveSecrets are flags whose values are not repeated, nor are URLs in others:
// credentials do not belong in them, but people put them there.
var mayHaveSecrets = []string{"proxy", "buckets", "traces"}

const (
	referenceHint = "functions are named like wordcount, wordcount@stable, wordcount@3 or wordcount@sha256:DIGEST; see what there is with: pappus ls"
	nameHint      = "names are 1 to 128 letters, digits, dots, underscores and hyphens, beginning with a letter or digit"
	tagHint       = nameHint + "; a tag is not a number"
)

// reference holds an argument to the form of references, before anything is
// sent, and remembers it.
func (c *commandLine) reference(arg string) error {
	ref, err := registry.ParseRef(arg)
	if err != nil {
		return badName(err, referenceHint)
	}
	if ref.Tag == "" {
		ref.Tag = "latest"
	}
	c.called = ref
	return nil
}

// functionName holds an argument to the form of functions' names.
func (c *commandLine) functionName(arg string) error {
	if err := registry.CheckName(arg); err != nil {
		if name, _, qualified := strings.Cut(arg, "@"); qualified && registry.CheckName(name) == nil {
			return badName(err, "give the name alone: "+name)
		}
		return badName(err, nameHint)
	}
	c.called = registry.Ref{Name: arg}
	return nil
}

func checkTag(tag string) error {
	if err := registry.CheckTag(tag); err != nil {
		return badName(err, tagHint)
	}
	return nil
}

// badName says of a name what the server would.
func badName(err error, hint string) error {
	return &failure{Exit: exitUsage, Message: fmt.Sprintf("%s: %v", problem.BadName, err), Kind: string(problem.BadName), Hint: hint, err: err}
}
