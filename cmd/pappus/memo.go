package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/engine"
)

func (c *commandLine) memoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "memo",
		Short: "See what the server remembers of calls, or have it forgotten",
		Long: `Results of functions, and of compositions that apply no I/O function, are
remembered: the same code and inputs give the same result, so that it is not
computed again.`,
		Example: `  pappus memo stats
  pappus memo purge wordcount`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.memoStatsCommand(), c.memoPurgeCommand())
	return cmd
}

func (c *commandLine) memoStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show how much is remembered, and what that saved",
		Long: `Shows what is remembered, how calls were answered since the server started, and
what that saved, by function too: those first that it saved most. Instances of
compositions are calls as well. As a table there are only the functions; as JSON,
YAML or by a template it is one record with all.`,
		Example: `  pappus memo stats
  pappus memo stats -o wide
  pappus memo stats -o go-template='{{.calls.hits}} of {{.entries}}'`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			m, err := cl.Memo(cmd.Context())
			if err != nil {
				return err
			}
			if !m.Enabled && c.forPeople() {
				_, err = fmt.Fprintln(cmd.ErrOrStderr(), "the server remembers nothing: its setting memo is 0")
				return err
			}
			switch c.form.kind {
			case formTable, formWide, formName:
				return showAll(c, memoFunctionView(), withoutError(m.Functions))
			}
			return showOne(c, memoView(), *m)
		},
	}
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print names of functions only")
	return cmd
}

// withoutError is a list as views want it.
func withoutError[T any](list []T) func(func(T, error) bool) {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func memoView() *view[client.Memo] {
	return &view[client.Memo]{text: func(w io.Writer, m client.Memo) error {
		var b strings.Builder
		line := func(what, format string, args ...any) {
			_, _ = fmt.Fprintf(&b, "%-12s"+format+"\n", append([]any{what}, args...)...)
		} // a builder never fails
		line("in memory", "%d results, %s", m.Entries, engine.Bytes(m.Bytes).Long())
		disk := "none are kept there, or the disk failed"
		if m.Disk.Enabled {
			disk = fmt.Sprintf("%d results, %s", m.Disk.Entries, engine.Bytes(m.Disk.Bytes).Long())
		}
		line("on disk", "%s", disk)
		n := m.Calls
		line("remembered", "%d calls: %d from memory, %d from disk", n.Hits+n.DiskHits, n.Hits, n.DiskHits)
		line("shared", "%d calls, answered by the run of an equal one", n.Collapsed)
		line("computed", "%d calls, and %d without being looked up", n.Misses, n.Unkeyed)
		line("saved", "%s of running, %d of fuel", shortTime(n.SavedMs), n.SavedFuel)
		if m.Verified > 0 {
			line("verified", "%d, of which %d differed", m.Verified, m.Differences)
		}
		if len(m.Functions) > 0 {
			b.WriteString("\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
		return showTable(w, memoFunctionView(), formTable, withoutError(m.Functions))
	}, columns: []column[client.Memo]{
		{title: "RESULTS", value: func(m client.Memo) string { return fmt.Sprint(m.Entries) }},
	}}
}

func memoFunctionView() *view[client.MemoFunction] {
	number := func(of func(*client.MemoCalls) uint64) func(client.MemoFunction) string {
		return func(f client.MemoFunction) string { return fmt.Sprint(of(&f.Calls)) }
	}
	return &view[client.MemoFunction]{
		name: func(f client.MemoFunction) string { return f.Name },
		columns: []column[client.MemoFunction]{
			{title: "FUNCTION", value: func(f client.MemoFunction) string { return f.Name }},
			{title: "REMEMBERED", value: number(func(n *client.MemoCalls) uint64 { return n.Hits + n.DiskHits })},
			{title: "SHARED", value: number(func(n *client.MemoCalls) uint64 { return n.Collapsed })},
			{title: "COMPUTED", value: number(func(n *client.MemoCalls) uint64 { return n.Misses + n.Unkeyed })},
			{title: "SAVED", value: func(f client.MemoFunction) string { return shortTime(f.Calls.SavedMs) }},
			{title: "FUEL", value: func(f client.MemoFunction) string { return fmt.Sprint(f.Calls.SavedFuel) }},
			{title: "DISK", only: formWide, value: number(func(n *client.MemoCalls) uint64 { return n.DiskHits })},
			{title: "FAULTS", only: formWide, value: number(func(n *client.MemoCalls) uint64 { return n.Negative })},
			{title: "STORED", only: formWide, value: number(func(n *client.MemoCalls) uint64 { return n.Stored })},
			{title: "REJECTED", only: formWide, value: number(func(n *client.MemoCalls) uint64 { return n.Rejected })},
			{title: "UNKEYED", only: formWide, value: number(func(n *client.MemoCalls) uint64 { return n.Unkeyed })},
		},
	}
}

func (c *commandLine) memoPurgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge [NAME]",
		Short: "Have the server forget results: all, or those of a function",
		Long: `Has the server forget all results, or those of a function or composition in all
its versions. Results are known by their code: another function with the same
code loses them too. What is computed afterwards is remembered again; a function
that is pushed with --memo off never is.`,
		Example: `  pappus memo purge wordcount
  pappus memo purge`,
		Args:              takes(0, 1),
		ValidArgsFunction: c.completeNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, what := "", "all results"
			if len(args) == 1 {
				if err := c.functionName(args[0]); err != nil {
					return err
				}
				name, what = args[0], "the results of "+args[0]
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if err := cl.PurgeMemo(cmd.Context(), name); err != nil {
				return err
			}
			switch {
			case c.quiet:
				return nil
			case c.json:
				return c.printJSON(map[string]string{"purged": name})
			}
			_, err = fmt.Fprintf(c.stdout, "forgot %s\n", what)
			return err
		},
	}
	c.bindForm(cmd.Flags(), onlyJSON())
	c.bindQuiet(cmd.Flags(), "print nothing")
	return cmd
}

// cacheFlags say what a call may have of what is remembered.
type cacheFlags struct{ noCache, noStore, onlyIfCached bool }

// header is the value of Cache-Control that they come to.
func (f *cacheFlags) header() (string, error) {
	given := map[string]bool{client.NoCache: f.noCache, client.NoStore: f.noStore, client.OnlyIfCached: f.onlyIfCached}
	var said []string
	for value, is := range given {
		if is {
			said = append(said, value)
		}
	}
	slices.Sort(said)
	switch len(said) {
	case 0:
		return "", nil
	case 1:
		return said[0], nil
	}
	return "", usage("choose one of them", "--%s and --%s exclude each other", said[0], said[1])
}
