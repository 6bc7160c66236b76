package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pappus/internal/suggest"
	"pappus/registry"
	"pappus/sdk/toolchain"
)

func (c *commandLine) newCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new LANGUAGE NAME",
		Short: "Begin a function: source code, and a case that it is tested with",
		Long: `Makes the folder NAME with a function that works: its source code, a case, and a
README. NAME can be a path; its last part is the function's name.
` + languageHelp(),
		Example: `  pappus new c shout`,
		Args:    takes(2, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return languageNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			l := toolchain.Named(args[0])
			if l == nil {
				return usage(languageHint(args[0]), "there is no language %q", args[0])
			}
			dir := filepath.Clean(args[1])
			name := filepath.Base(dir)
			if err := registry.CheckName(name); err != nil {
				return badName(err, nameHint)
			}
			files, err := toolchain.Create(l, dir, name)
			switch {
			case errors.Is(err, toolchain.ErrNotEmpty):
				return fail(exitFile, err, "name a folder that is not there yet")
			case err != nil:
				return fail(exitFile, err, "check that you may write there")
			}
			if c.json {
				return c.printJSON(newProject{name, l.Name, dir, files})
			}
			slices.Sort(files)
			for _, f := range files {
				if _, err := fmt.Fprintf(c.stdout, "%s\n", oneLine(filepath.Join(dir, f))); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(c.stdout, "next: cd %s && pappus dev\n", shellWord(oneLine(dir)))
			return err
		},
	}
}

// newProject is what new says of a project.
type newProject struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Folder   string   `json:"folder"`
	Files    []string `json:"files"`
}

func languageNames() (names []string) {
	for _, l := range toolchain.Languages() {
		names = append(names, l.Name)
	}
	return names
}

// languageHint says what to take in place of a language that there is not.
func languageHint(name string) string {
	hint := "there are " + strings.Join(languageNames(), ", ")
	switch strings.ToLower(name) {
	case "python", "python3", "py", "cpython":
		return "starlark is its dialect, with def, for and lists, without classes and imports: pappus new starlark NAME; " + hint
	case "typescript", "ts":
		return "assemblyscript has its syntax: pappus new assemblyscript NAME; " + hint
	}
	if like, ok := suggest.Closest(name, languageNames()); ok {
		return didYouMean(like, hint)
	}
	return hint
}

// shellWord is text as one word of a shell's command line.
func shellWord(text string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`).MatchString(text) && !strings.HasPrefix(text, "-") {
		return text
	}
	if strings.HasPrefix(text, "-") {
		text = "./" + text // no option
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
