package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/internal/wholefile"
	"pappus/registry"
	"pappus/server/problem"
)

// formText is the form of pictures for people.
const formText = composition.PictureText

func (c *commandLine) composeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compose",
		Short: "Register, check, format or show compositions",
		Long: `A composition is an application that is made of functions. docs/compositions.md
describes the two forms in which it can be written.`,
		Example: `  pappus compose check count.comp
  pappus compose push count.comp
  pappus compose fmt -w count.comp
  pappus compose show count.comp --format svg > count.svg`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.composePushCommand(), c.composeCheckCommand(), c.composeFormatCommand(), c.composeShowCommand())
	return cmd
}

// composeSource is a file with a composition.
type composeSource struct {
	file string // "-": standard input
	text string
}

func (c *commandLine) readComposition(file string) (composeSource, error) {
	text, err := c.readSource(file)
	if strings.HasPrefix(text, wasmMagic) {
		err = fmt.Errorf("%s is a WebAssembly module, and no composition", file)
		return composeSource{}, &failure{Exit: exitRejected, Message: err.Error(), Kind: string(problem.InvalidComposition), Hint: "register a function with: pappus push FILE", err: err}
	}
	return composeSource{file, text}, err
}

// wasmMagic is how every module begins.
const wasmMagic = "\x00asm"

func (c *commandLine) readSource(file string) (string, error) {
	const most = composition.MaxSource + 1 // one more is an error of the source
	if file == sourceStdin {
		text, err := io.ReadAll(io.LimitReader(c.stdin, most))
		return string(text), err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", fail(exitFile, &fs.PathError{Op: "read", Path: file, Err: syscall.EISDIR}, "name the file in it")
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	return string(text), err
}

// name is under which a script is drawn if nothing says otherwise.
func (s composeSource) name() string {
	name := strings.TrimSuffix(filepath.Base(s.file), filepath.Ext(s.file))
	if !composition.IsScript(s.text) || registry.CheckName(name) != nil {
		return ""
	}
	return name
}

// sourceMistake is one of a composition's source.
type sourceMistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	text string // with the line and a caret
}

func (s composeSource) mistakes(list []composition.Diagnostic) []sourceMistake {
	mistakes := make([]sourceMistake, len(list))
	for i, d := range list {
		mistakes[i] = sourceMistake{s.file, d.Line, d.Column, d.Message, d.Hint, s.file + ":" + d.Text()}
	}
	return mistakes
}

// compositionFailure tells what is wrong with sources.
func compositionFailure(mistakes []sourceMistake, more bool, err error) error {
	what := countOf(len(mistakes), "mistake")
	if more {
		what = "more than " + what
	}
	return &failure{
		Exit: exitRejected, Message: "invalid composition: " + what, Kind: "invalid-composition", Errors: mistakes,
		Hint: "correct them; docs/compositions.md describes the language", err: err,
	}
}

// sourceFailure makes a failure of what Compile and Format say of a source.
func (s composeSource) failure(err error) error {
	var invalid *composition.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	return compositionFailure(s.mistakes(invalid.Diagnostics), invalid.More, err)
}

// checkedComposition is what check prints as a record.
type checkedComposition struct {
	File       string          `json:"file"`
	Name       string          `json:"name"`
	Inputs     []engine.Param  `json:"inputs"`
	Outputs    []engine.Param  `json:"outputs"`
	References []string        `json:"references"`
	Offline    bool            `json:"offline"` // the server was not asked
	Warnings   []sourceMistake `json:"warnings"`
}

func (c *commandLine) composeCheckCommand() *cobra.Command {
	var name string
	var offline bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a composition is good",
		Long: `Checks a composition and prints every mistake that it has, each with its line and
a hint. What it applies is looked for on the server; without one, if none was
named, or with --offline, its declarations are believed. FILE is - for stdin.`,
		Example: `  pappus compose check count.comp
  pappus compose check count.comp --name CountWords --offline
  pappus compose check count.comp --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := c.readComposition(args[0])
			if err != nil {
				return err
			}
			stderr := cmd.ErrOrStderr()
			opts := composition.Options{Name: name, Reserved: registry.Reserved}
			if opts.Name == "" {
				opts.Name = source.name()
			}
			// The graph is the same for a server that knows what is applied.
			g, warnings, err := composition.Compile(cmd.Context(), source.text, opts)
			record := checkedComposition{File: source.file, Offline: true, References: []string{}}
			if !offline {
				cl, unreachable := c.reachable(cmd.Context(), stderr)
				if unreachable != nil {
					return unreachable
				}
				if cl != nil {
					defer cl.Close()
					record.Offline = false
					var refused error
					if warnings, refused = checkOnServer(cmd.Context(), cl, opts.Name, source.text); refused != nil {
						err = refused
					}
				}
			}
			record.Warnings = source.mistakes(warnings)
			if c.form.kind == "" {
				for _, w := range record.Warnings {
					if _, err := io.WriteString(stderr, w.text); err != nil {
						return err
					}
				}
			}
			if err != nil {
				return source.refused(err)
			}
			sig := g.Entry().Signature()
			record.Name, record.Inputs, record.Outputs = g.Entry().Name, sig.Inputs, sig.Outputs
			for _, r := range g.References {
				record.References = append(record.References, r.String())
			}
			if c.form.kind != "" {
				return showOne(c, new(view[checkedComposition]), record)
			}
			_, err = fmt.Fprintf(c.stdout, "%s is good: %s\n", source.file, described(g.Entry()))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` under which it would be registered: it chooses among several compositions")
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no server: believe declarations")
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions) // fails for flags that do not exist
	c.bindForm(cmd.Flags(), plainForms)
	return cmd
}

// checkOnServer has a server look at a source.
func checkOnServer(ctx context.Context, cl *client.Client, name, source string) ([]composition.Diagnostic, error) {
	checked, err := cl.CheckComposition(ctx, name, source)
	var p *client.Problem
	switch {
	case errors.As(err, &p):
		return diagnostics(p.Warnings, true), err
	case err != nil:
		return nil, err
	}
	return diagnostics(checked.Warnings, true), nil
}

// described is a composition's name and signature.
func described(c *composition.Composition) string {
	list := func(params []engine.Param) string {
		names := make([]string, len(params))
		for i, p := range params {
			names[i] = p.Name
		}
		return strings.Join(names, ", ")
	}
	sig := c.Signature()
	return fmt.Sprintf("%s(%s) => (%s)", c.Name, list(sig.Inputs), list(sig.Outputs))
}

// reachable is a client of the server; nil, after a word about it, if nobody named
// a server and none is at the usual address.
func (c *commandLine) reachable(ctx context.Context, stderr io.Writer) (*client.Client, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	err = cl.Ready(ctx)
	if !errors.Is(err, client.ErrUnreachable) { // other errors are told by what is asked next
		return cl, nil
	}
	cl.Close()
	if c.target.From != fromDefault {
		return nil, err
	}
	_, err = fmt.Fprintln(stderr, "no server can be reached, so that declarations are believed; --offline says that this is meant")
	return nil, err
}

func (c *commandLine) composeShowCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Draw the graph of a composition",
		Long: `Prints a picture of what flows where: as text, for Graphviz (dot), or as a drawing
(svg); with json the graph itself. No server is asked. FILE is - for stdin.`,
		Example: `  pappus compose show count.comp
  pappus compose show count.comp --format svg > count.svg
  pappus compose show count.comp --format dot | grep label`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := c.readComposition(args[0])
			if err != nil {
				return err
			}
			opts := composition.Options{Name: name, Reserved: registry.Reserved}
			if name == "" {
				opts.Name = source.name()
			}
			g, _, err := composition.Compile(cmd.Context(), source.text, opts)
			if err != nil {
				return source.failure(err)
			}
			if c.form.kind == formJSON {
				return c.printJSON(g)
			}
			if c.form.kind == "" {
				c.form.kind = formText
			}
			picture, err := g.Draw(c.form.kind)
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.stdout, picture)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the composition, if the file has several")
	_ = cmd.RegisterFlagCompletionFunc("name", cobra.NoFileCompletions) // fails for flags that do not exist
	c.bindForm(cmd.Flags(), append(composition.Pictures(), formJSON))
	return cmd
}

// formattedComposition is what fmt prints as a record.
type formattedComposition struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	Source  string `json:"source,omitempty"` // if it is not written to the file
}

func (c *commandLine) composeFormatCommand() *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt FILE ...",
		Short: "Give compositions the usual form",
		Long: `Prints compositions in the form that all have: names, comments and order stay as
they are. With --write files are changed in place; with --check those that are
not in that form are listed, and the exit code is 10 if there are any. FILE is -
for stdin.`,
		Example: `  pappus compose fmt count.comp
  pappus compose fmt -w count.comp
  pappus compose fmt --check count.comp`,
		Args: takes(1, math.MaxInt),
		RunE: func(_ *cobra.Command, args []string) error {
			if write && check {
				return usage("choose one of them", "--write and --check exclude each other")
			}
			return c.formatCompositions(args, write, check)
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write to the files")
	cmd.Flags().BoolVar(&check, "check", false, "list files that are not in that form")
	return cmd
}

func (c *commandLine) formatCompositions(files []string, write, check bool) error {
	var mistakes []sourceMistake
	var cause error
	records := []formattedComposition{}
	changed := 0
	for _, file := range files {
		if file == "-" && write {
			return usage("leave --write out: what is formatted is printed", "stdin can't be written to")
		}
		source, err := c.readComposition(file)
		if err != nil {
			return err
		}
		text, err := composition.Format(source.text)
		var invalid *composition.InvalidError
		if errors.As(err, &invalid) { // the others are looked at all the same
			mistakes, cause = append(mistakes, source.mistakes(invalid.Diagnostics)...), err
			continue
		}
		if err != nil {
			return err
		}
		record := formattedComposition{File: file, Changed: text != source.text}
		if record.Changed {
			changed++
		}
		switch {
		case write && record.Changed:
			err = wholefile.Write(file, []byte(text), 0o644)
		case !write && !check:
			record.Source = text
		}
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	if err := c.printFormatted(records, write || check); err != nil {
		return err
	}
	if len(mistakes) > 0 {
		return compositionFailure(mistakes, false, cause)
	}
	if check && changed > 0 {
		return fail(exitDiffers, fmt.Errorf("not in the usual form: %s", countOf(changed, "file")), "format them with: pappus compose fmt -w FILE")
	}
	return nil
}

// printFormatted prints what fmt did: the sources, or which files are concerned.
func (c *commandLine) printFormatted(records []formattedComposition, names bool) error {
	if c.json {
		return c.printJSON(records)
	}
	for _, r := range records {
		text := r.Source
		if names && r.Changed {
			text = r.File + "\n"
		}
		if _, err := io.WriteString(c.stdout, text); err != nil {
			return err
		}
	}
	return nil
}
