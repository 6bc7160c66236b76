package main

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

func (c *commandLine) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [NAME]",
		Short: "List functions and compositions, or the versions of one",
		Long: `Lists the functions and compositions on the server, each as its latest version is,
or the versions of one of them, the newest first. A composition is broken if what it
applies is gone, or has other sets; inspect says which. --quiet prints what other
commands take: names, or those of versions like wordcount@3.`,
		Example: `  pappus ls
  pappus ls wordcount -o wide
  pappus ls -o go-template='{{.kind}} {{.name}} {{.digest}}'
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
				return showAll(c, versionView(), walk(cmd.Context(), versionsOf(cl, args[0])))
			}
			v := versionView()
			v.name = func(v entry) string { return v.Name }
			count := 0
			err = showAll(c, v, counted(everything(cmd.Context(), cl), &count))
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

// printJSON prints a value as indented JSON.
func (c *commandLine) printJSON(value any) error {
	text, err := jsonText(value, "")
	if err != nil {
		return err
	}
	_, err = c.stdout.Write(text)
	return err
}
