package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
)

// completionTime is how long a shell waits for names from the server.
const completionTime = 2 * time.Second

// completionCommand prints the scripts by which shells complete. Cobra has such
// a verb too; this one has examples, and bash splits no words at @.
func (c *commandLine) completionCommand(root *cobra.Command) *cobra.Command {
	shells := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error {
			if err := root.GenBashCompletionV2(w, true); err != nil {
				return err
			}
			_, err := io.WriteString(w, "\n# References like wordcount@stable are one word.\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n")
			return err
		},
		"zsh":        root.GenZshCompletion,
		"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": root.GenPowerShellCompletionWithDesc,
	}
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that makes a shell complete commands",
		Long: `Prints a script that makes a shell complete verbs, flags, and names: of functions,
tags and versions on the server, and of contexts. For bash, which needs the
package bash-completion, it belongs into the startup file:

  source <(pappus completion bash)

zsh finds it as _pappus in a folder of its $fpath, fish in
~/.config/fish/completions/pappus.fish; PowerShell runs it in its profile.`,
		Example: `  pappus completion bash > pappus.bash
  pappus completion zsh > _pappus
  pappus completion fish > pappus.fish`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || shells[args[0]] == nil {
				return usage("name one shell: pappus completion bash", "completion is for one of %s", strings.Join(names, ", "))
			}
			return nil
		},
		ValidArgs:             names,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return shells[args[0]](c.stdout)
		},
	}
}

// completion lists what an argument may be, as cobra wants it.
type completion = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective)

// completeFlags makes the values of flags complete.
func (c *commandLine) completeFlags(root *cobra.Command) {
	_ = root.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions) // these fail for flags that do not exist
	_ = root.RegisterFlagCompletionFunc("context", c.completeContexts)
	words := map[string][]string{"log-format": logFormats(), "log-level": logLevels(), "memo": {"auto", "off"}, "engine": engineNames()}
	for _, cmd := range allCommands(root) {
		for name, list := range words {
			if cmd.Flags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
			}
		}
		if cmd.Name() == "invoke" {
			_ = cmd.RegisterFlagCompletionFunc("in", c.completeInputs)
		}
		if f := cmd.Flags().Lookup(formFlagName); f != nil {
			if flag, ok := f.Value.(formFlag); ok {
				_ = cmd.RegisterFlagCompletionFunc(formFlagName, completeForms(flag))
			}
		}
	}
}

// allCommands lists a command and all below it.
func allCommands(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		list = append(list, allCommands(sub)...)
	}
	return list
}

func completeForms(flag formFlag) completion {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var forms []string
		for _, name := range flag.forms {
			if name == formTemplate || name == formTemplateFile {
				name += "="
			}
			if strings.HasPrefix(name, begun) {
				forms = append(forms, name)
			}
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(forms) == 1 && strings.HasSuffix(forms[0], "=") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return forms, directive
	}
}

// completeCode completes files of code.
func completeCode(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeContexts completes the name of a context.
func (c *commandLine) completeContexts(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := []cobra.Completion{fromDefault}
	if path, err := c.contextsPath(); err == nil {
		if file, err := readContexts(path); err == nil {
			for _, name := range file.Names() {
				names = append(names, cobra.CompletionWithDesc(name, oneLine(file.Contexts[name].Server)))
			}
		}
	}
	return beginning(names, begun), cobra.ShellCompDirectiveNoFileComp
}

func beginning(names []cobra.Completion, begun string) []cobra.Completion {
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, begun) })
}

// asked calls the server for the sake of a completion: not for long, and
// whatever goes wrong leaves nothing to offer.
func (c *commandLine) asked(cmd *cobra.Command, ask func(ctx context.Context, cl *client.Client) []cobra.Completion) []cobra.Completion {
	cl, err := c.client()
	if err != nil {
		return nil
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	return ask(ctx, cl)
}

// completeNames completes the name of a function as the only argument.
func (c *commandLine) completeNames(arguments int) completion {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= arguments {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := c.asked(cmd, functionNames)
		return beginning(names, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeReferences completes a reference as the only argument: names, and
// after NAME@ the function's tags and versions.
func (c *commandLine) completeReferences(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	name, _, qualified := strings.Cut(begun, "@")
	if !qualified || len(args) > 0 {
		return c.completeNames(1)(cmd, args, begun)
	}
	targets := c.asked(cmd, func(ctx context.Context, cl *client.Client) []cobra.Completion { return targets(ctx, cl, name) })
	for i := range targets {
		targets[i] = name + "@" + targets[i]
	}
	return beginning(targets, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeVersions completes a name, and after NAME@ the numbers of versions.
func (c *commandLine) completeVersions(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list, directive := c.completeReferences(cmd, args, begun)
	return slices.DeleteFunc(list, func(one string) bool {
		ref, _, _ := strings.Cut(one, "\t")
		_, target, qualified := strings.Cut(ref, "@")
		return qualified && !isVersion(target)
	}), directive
}

// completeInputs completes the sets of the function that is to be called, and
// files after =.
func (c *commandLine) completeInputs(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(begun, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	sets := c.asked(cmd, func(ctx context.Context, cl *client.Client) (list []cobra.Completion) {
		f, err := cl.GetFunction(ctx, args[0])
		if err != nil {
			return nil
		}
		for _, p := range f.Inputs {
			list = append(list, p.Name+"=")
		}
		return list
	})
	return beginning(sets, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// targets lists what may follow NAME@: tags and numbers.
func targets(ctx context.Context, cl *client.Client, name string) []cobra.Completion {
	var list []cobra.Completion
	page, err := versionsOf(cl, name)(ctx, "", 0)
	if err != nil {
		return nil
	}
	for i, f := range page.items {
		if i == 0 {
			for _, tag := range sortedTags(f.Tags) {
				list = append(list, cobra.CompletionWithDesc(tag, fmt.Sprintf("version %d", f.Tags[tag])))
			}
		}
		list = append(list, cobra.CompletionWithDesc(fmt.Sprint(f.Version), shortDigest(f.Digest)))
	}
	return list
}

// completeTag completes NAME TAG TARGET.
func (c *commandLine) completeTag(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var list []cobra.Completion
	switch len(args) {
	case 0:
		return c.completeNames(1)(cmd, args, begun)
	case 1:
		list = c.asked(cmd, func(ctx context.Context, cl *client.Client) []cobra.Completion { return tagNames(ctx, cl, args[0]) })
	case 2:
		list = c.asked(cmd, func(ctx context.Context, cl *client.Client) []cobra.Completion { return targets(ctx, cl, args[0]) })
	}
	return beginning(list, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeFunctionsAndCode completes a reference or a file.
func (c *commandLine) completeFunctionsAndCode(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := c.completeReferences(cmd, args, begun)
	if len(names) == 0 {
		return completeCode(cmd, args, begun)
	}
	// Shells complete words or files; here both are wanted.
	files, _ := filepath.Glob("*.wasm") // the pattern is good
	return append(names, beginning(files, begun)...), directive
}
