package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/cmd/pappus/internal/settings"
)

// configuration is where the configuration of a server is read from.
type configuration struct {
	command *commandLine
	file    string // "": none
	flags   settings.Given
}

func (c *commandLine) newConfiguration() *configuration { return &configuration{command: c} }

// bind makes the flags.
func (f *configuration) bind(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVar(&f.file, "config", "", "`FILE` with settings; also PAPPUS_CONFIG")
	f.flags = newServing().settings.Bind(flags)
}

// otherVariables are those that the command line takes for something else than
// a setting of the server.
func otherVariables() []string { return []string{"config", "server", "context", "ca"} }

// load reads flags, variables and the file, which the verb's flags name.
func (f *configuration) load(cmd *cobra.Command) (*serving, error) {
	if err := fromEnvironment(cmd.Flags(), f.command.lookupEnv, "config"); err != nil {
		return nil, err
	}
	return f.read()
}

// read reads flags, variables and the file.
func (f *configuration) read() (*serving, error) {
	s, mistakes, err := f.parse()
	if err == nil && len(mistakes) > 0 {
		err = configFailure(mistakes)
	}
	return s, err
}

// parse is read that gives the mistakes in flags, variables and file, and what
// is set without them.
func (f *configuration) parse() (*serving, settings.Errors, error) {
	from := settings.Sources{Flags: f.flags, Environ: f.command.environ(), Others: otherVariables()}
	if f.file != "" {
		file, err := settings.Read(f.file)
		if err != nil {
			return nil, nil, fileFailure(err)
		}
		from.File = file
	}
	s := newServing()
	var mistakes settings.Errors
	if err := s.settings.Load(from); err != nil && !errors.As(err, &mistakes) {
		return nil, nil, err
	}
	return s, mistakes, nil
}

// checked is load that looks for everything that can be wrong at once: with
// settings by themselves and together, and with the files that they name.
func (f *configuration) checked(cmd *cobra.Command) (s *serving, mistakes, files settings.Errors, err error) {
	if err := fromEnvironment(cmd.Flags(), f.command.lookupEnv, "config"); err != nil {
		return nil, nil, nil, err
	}
	if s, mistakes, err = f.parse(); err != nil {
		return nil, nil, nil, err
	}
	wrong, known := wrongSettings(mistakes, s.settings)
	if !known {
		return s, mistakes, nil, nil
	}
	s.findOut()
	mistakes = append(mistakes, s.contradictions(wrong)...)
	files = s.fileMistakes(wrong)
	return s, mistakes, files, nil
}

// wrongSettings are the settings whose values are of no use after mistakes;
// known is false if it can't be said which these are.
func wrongSettings(mistakes settings.Errors, set *settings.Set) (wrong map[string]bool, known bool) {
	wrong = make(map[string]bool)
	for _, m := range mistakes {
		name := m.Key
		if name == "" {
			if m.Variable == "" {
				return nil, false // the file could not be read to its end
			}
			name = strings.ToLower(strings.TrimPrefix(m.Variable, settings.Prefix))
		}
		if meant, ok := set.Meant(name); ok && set.Lookup(name) == nil {
			name = meant
		}
		wrong[name] = true
	}
	return wrong, true
}

// fileFailure tells why the file can't be read.
func fileFailure(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitFile, err, "name a file that exists with --config; pappus config print --defaults prints one to begin with")
	}
	return fail(exitFile, err, "name a file with --config that this user can read")
}

// place orders mistakes: those of the file first, then of variables and flags.
func place(m *settings.Error) int {
	switch {
	case m.File != "":
		return 0
	case m.Variable != "":
		return 1
	}
	return 2
}

// configFailure tells what is wrong with a configuration.
func configFailure(err error) error {
	var mistakes settings.Errors
	if !errors.As(err, &mistakes) {
		return err
	}
	mistakes = slices.Clone(mistakes)
	slices.SortStableFunc(mistakes, func(a, b *settings.Error) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Line, b.Line))
	})
	f := &failure{
		Exit: exitUsage, Message: fmt.Sprintf("the configuration has %d mistakes", len(mistakes)),
		Hint: "correct them; docs/configuration.md lists all settings", Mistakes: mistakes, err: err,
	}
	if len(mistakes) == 1 {
		only := *mistakes[0]
		if only.Hint != "" {
			f.Hint = only.Hint
		}
		only.Hint = ""
		f.Message = only.Error()
	}
	return f
}

func (c *commandLine) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration of a server",
		Long: `The configuration of a server comes from flags, variables and a file; these verbs
read it as "pappus serve" does, and start nothing.`,
		Example: `  pappus config print --defaults > pappus.yaml
  pappus config check pappus.yaml`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.configPrintCommand(), c.configCheckCommand())
	return cmd
}

func (c *commandLine) configPrintCommand() *cobra.Command {
	config := c.newConfiguration()
	var defaults bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show what a server would be configured with, and why",
		Long: `Prints the configuration that "pappus serve" would have with the same flags,
variables and file, as a file that sets the same. Comments say what each setting
does, what its default is, and where its value comes from.`,
		Example: `  pappus config print --config pappus.yaml
  pappus config print --defaults > pappus.yaml
  pappus config print --json --max-body 1GiB`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := newServing()
			if !defaults {
				var err error
				if s, err = config.load(cmd); err != nil {
					return err
				}
				s.findOut()
				s.showFound()
			}
			text := s.settings.YAML()
			if c.json {
				var err error
				if text, err = s.settings.JSON(); err != nil {
					return err
				}
			} else if defaults {
				text = s.settings.Template()
			}
			_, err := c.stdout.Write(text)
			return err
		},
	}
	config.bind(cmd.Flags())
	c.bindForm(cmd.Flags(), onlyJSON())
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print a file to begin with, in which nothing is set")
	return cmd
}

func (c *commandLine) configCheckCommand() *cobra.Command {
	config := c.newConfiguration()
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say whether a configuration is good",
		Long: `Checks the configuration that "pappus serve" would have with the same flags,
variables and file: syntax, names and values, whether settings contradict each
other, whether the address is one to listen on, and whether the data folder and the
buckets can be used. It makes and starts nothing, and prints every mistake that it
finds.`,
		Example: `  pappus config check pappus.yaml
  pappus config check pappus.yaml --data data`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if config.file != "" && config.file != args[0] {
					return usage("name one of them", "there are two files: %s and --config %s", args[0], config.file)
				}
				if err := cmd.Flags().Set("config", args[0]); err != nil {
					return err
				}
			}
			_, mistakes, files, err := config.checked(cmd)
			if err != nil {
				return err
			}
			if mistakes = append(mistakes, files...); len(mistakes) > 0 {
				return configFailure(mistakes)
			}
			if c.json {
				return c.printJSON(map[string]any{"good": true, "file": config.file})
			}
			what := config.file
			if what == "" {
				what = "the configuration"
			}
			_, err = fmt.Fprintf(c.stdout, "%s is good\n", what)
			return err
		},
	}
	config.bind(cmd.Flags())
	c.bindForm(cmd.Flags(), onlyJSON())
	return cmd
}
