package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the documents that are generated")

// verbs lists the commands that users see.
func verbs() []*cobra.Command {
	var list []*cobra.Command
	for _, cmd := range allCommands(new(commandLine).command()) {
		if !cmd.Hidden {
			list = append(list, cmd)
		}
	}
	return list
}

// The page of commands says what the commands say of themselves.
func TestCommandsAreDocumented(t *testing.T) {
	const page = "../../docs/commands.md"
	var b bytes.Buffer
	b.WriteString("<!-- Written by: go generate ./cmd/pappus -->\n\n# Commands\n")
	for _, cmd := range verbs() {
		document(&b, cmd)
	}
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(text, b.Bytes()) {
		t.Errorf("%s is not what it would be now; write it with: go generate ./cmd/pappus (%v)", page, err)
	}
}

func document(b *bytes.Buffer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), fenced(about), cmd.UseLine())
	fmt.Fprintf(b, "\nExamples:\n\n```sh\n%s\n```\n", unindented(cmd.Example))
	flags := cmd.LocalFlags()
	if !flags.HasAvailableFlags() {
		return
	}
	title := "Flags"
	if !cmd.HasParent() {
		title = "Flags of all commands"
	}
	fmt.Fprintf(b, "\n%s:\n\n| flag | what it says |\n|---|---|\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			documentFlag(b, f)
		}
	})
}

func documentFlag(b *bytes.Buffer, f *pflag.Flag) {
	typ, about := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if typ != "" {
		name += " " + typ
	}
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" && f.DefValue != "0s" {
		about += fmt.Sprintf(" (default: %s)", f.DefValue)
	}
	fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), strings.ReplaceAll(about, "|", `\|`))
}

// fenced puts the parts of a description that are lined up into fences.
func fenced(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		if lined := strings.HasPrefix(line, "  "); lined != inside {
			inside = lined
			b.WriteString("```\n")
		}
		b.WriteString(line)
	}
	if inside {
		b.WriteString("\n```")
	}
	return b.String()
}

func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// Help helps: every verb has a description and an example that is of it, or of
// one below it.
func TestEveryVerbHasExamples(t *testing.T) {
	for _, cmd := range verbs() {
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: short description %q, examples:\n%s", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  ") || len(strings.TrimRight(line, "\n")) > 110 {
				t.Errorf("%s: example %q", cmd.CommandPath(), line)
			}
		}
	}
}
