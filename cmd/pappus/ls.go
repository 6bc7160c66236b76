package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
)

func (c *commandLine) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [NAME]",
		Short: "List functions, or the versions of one",
		Long: `Lists the functions on the server, each as its latest version is, or the versions
of one function, the newest first. --quiet prints what other commands take: names
of functions, or of versions like wordcount@3.`,
		Example: `  pappus ls
  pappus ls wordcount -o wide
  pappus ls -o go-template='{{.name}} {{.digest}}'
  pappus ls --quiet | xargs -n 1 pappus inspect`,
		Args:              takes(0, 1),
		ValidArgsFunction: c.completeNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := c.functionName(args[0]); err != nil {
					return err
				}
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return showAll(c, versionView(), functions(cmd.Context(), func(ctx context.Context, cursor string, limit int) (client.Page, error) {
					return cl.Versions(ctx, args[0], cursor, limit)
				}))
			}
			v := versionView()
			v.name = func(f client.Function) string { return f.Name }
			count := 0
			err = showAll(c, v, counted(functions(cmd.Context(), cl.ListFunctions), &count))
			if err == nil && count == 0 && c.forPeople() {
				_, err = fmt.Fprintln(cmd.ErrOrStderr(), "no functions yet; register one with: pappus push FILE")
			}
			return err
		},
	}
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print names only")
	return cmd
}

// counted counts records as they come.
func counted[T any](records iter.Seq2[T, error], count *int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for record, err := range records {
			if err == nil {
				*count++
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

// pageFunc returns a page of functions.
type pageFunc func(ctx context.Context, cursor string, limit int) (client.Page, error)

// functions asks for one page after the other.
func functions(ctx context.Context, page pageFunc) iter.Seq2[client.Function, error] {
	return func(yield func(client.Function, error) bool) {
		for cursor := ""; ; {
			p, err := page(ctx, cursor, 0)
			if err != nil {
				yield(client.Function{}, err)
				return
			}
			for _, f := range p.Items {
				if !yield(f, nil) {
					return
				}
			}
			if cursor = p.Next; cursor == "" {
				return
			}
		}
	}
}

// versionView shows versions of functions, each by a reference to it.
func versionView() *view[client.Function] {
	return &view[client.Function]{
		name: func(f client.Function) string { return fmt.Sprintf("%s@%d", f.Name, f.Version) },
		columns: []column[client.Function]{
			{title: "NAME", value: func(f client.Function) string { return f.Name }},
			{title: "VERSION", value: func(f client.Function) string { return fmt.Sprint(f.Version) }},
			{title: "TAGS", value: tagsOf},
			{title: "ENGINE", value: func(f client.Function) string { return f.Engine }},
			{title: "SIZE", value: func(f client.Function) string { return roughBytes(f.Size) }},
			{title: "AGE", only: formTable, value: func(f client.Function) string { return age(time.Since(f.Created)) }},
			{title: "DIGEST", only: formTable, value: func(f client.Function) string { return shortDigest(f.Digest) }},
			{title: "CREATED", only: formWide, value: func(f client.Function) string { return f.Created.Local().Format(time.RFC3339) }},
			{title: "DIGEST", only: formWide, value: func(f client.Function) string { return f.Digest }},
			{title: "INPUTS", only: formWide, value: func(f client.Function) string { return paramList(f.Inputs, f.Open) }},
			{title: "OUTPUTS", only: formWide, value: func(f client.Function) string { return paramList(f.Outputs, f.Open) }},
		},
	}
}

// shortDigest is enough of a digest to tell it from others.
func shortDigest(digest string) string {
	const enough = len("sha256:") + 12
	return digest[:min(enough, len(digest))]
}

// roughBytes is a size with three digits or so.
func roughBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%dB", n)
	}
	f, unit := float64(n)/(1<<10), 0
	units := [...]string{"KiB", "MiB", "GiB", "TiB"}
	for ; f >= 1<<10 && unit < len(units)-1; unit++ {
		f /= 1 << 10
	}
	if f < 10 {
		return fmt.Sprintf("%.1f%s", f, units[unit])
	}
	return fmt.Sprintf("%.0f%s", f, units[unit])
}

// age is how long ago something was, in its largest unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d/time.Second))) // clocks differ
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	case d < day:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	}
	return fmt.Sprintf("%dd", int(d/day))
}

// sortedTags lists the names of tags in order.
func sortedTags(tags map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(tags), cmp.Compare[string])
}

// tagsOf lists the tags that name this version.
func tagsOf(f client.Function) string {
	var tags []string
	for _, tag := range sortedTags(f.Tags) {
		if f.Tags[tag] == f.Version {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, ",")
}

// printJSON prints a value as indented JSON.
func (c *commandLine) printJSON(value any) error {
	text, err := jsonText(value, "")
	if err != nil {
		return err
	}
	_, err = c.stdout.Write(text)
	return err
}
