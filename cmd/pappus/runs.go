package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
)

func (c *commandLine) runsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs [ID]",
		Short: "List recent runs of compositions, or show what happened in one",
		Long: `Lists the runs of compositions whose records the server keeps, the newest first:
the last 200 of those that were called with "pappus invoke --timeline", or with
trace=1 over HTTP. With an ID it draws that run over time, application by
application; -o json has every instance: when it was queued, started and ended,
what went in and out, and the fuel that it used.`,
		Example: `  pappus runs
  pappus runs -o go-template='{{.id}} {{.composition}} {{.usage.fuel}}'
  pappus runs --quiet | head -n 1 | xargs -r pappus runs`,
		Args:              takes(0, 1),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			v := c.runView()
			if len(args) == 1 {
				run, err := cl.Run(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return showOne(c, v, *run)
			}
			count := 0
			err = showAll(c, v, counted(allRuns(cmd.Context(), cl), &count))
			if err == nil && count == 0 && c.forPeople() {
				_, err = fmt.Fprintln(cmd.ErrOrStderr(), "no runs are kept; call a composition with: pappus invoke --timeline NAME")
			}
			return err
		},
	}
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print ids only")
	return cmd
}

// runView shows runs, each by its id, and one of them over time.
func (c *commandLine) runView() *view[client.Run] {
	return &view[client.Run]{
		name: func(r client.Run) string { return r.ID },
		text: func(w io.Writer, r client.Run) error {
			_, err := io.WriteString(w, c.timelineFor(w).draw(&r))
			return err
		},
		columns: []column[client.Run]{
			{title: "RUN", value: func(r client.Run) string { return r.ID }},
			{title: "COMPOSITION", value: func(r client.Run) string { return r.Composition }},
			{title: "OUTCOME", value: func(r client.Run) string {
				if r.Fault != "" {
					return r.Fault
				}
				return "ok"
			}},
			{title: "TIME", value: func(r client.Run) string { return shortTime(milliseconds(&r)) }},
			{title: "FUEL", value: func(r client.Run) string { return fmt.Sprint(r.Usage.Fuel) }},
			{title: "AGE", only: formTable, value: func(r client.Run) string { return age(time.Since(r.Began)) }},
			{title: "BEGAN", only: formWide, value: func(r client.Run) string { return r.Began.Local().Format(time.RFC3339) }},
			{title: "MEMORY", only: formWide, value: func(r client.Run) string { return fmt.Sprintf("%d pages", r.Usage.MemoryPages) }},
			{title: "PARALLELISM", only: formWide, value: func(r client.Run) string { return fmt.Sprint(r.Parallelism) }},
		},
	}
}

// allRuns asks for one page after the other.
func allRuns(ctx context.Context, cl *client.Client) iter.Seq2[client.Run, error] {
	return func(yield func(client.Run, error) bool) {
		for cursor := ""; ; {
			page, err := cl.Runs(ctx, cursor, 0)
			if err != nil {
				yield(client.Run{}, err)
				return
			}
			for _, r := range page.Items {
				if !yield(r, nil) {
					return
				}
			}
			if cursor = page.Next; cursor == "" {
				return
			}
		}
	}
}

// completeRuns completes the id of a run.
func (c *commandLine) completeRuns(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids := c.asked(cmd, func(ctx context.Context, cl *client.Client) (list []cobra.Completion) {
		page, err := cl.Runs(ctx, "", 0)
		if err != nil {
			return nil
		}
		for _, r := range page.Items {
			list = append(list, cobra.CompletionWithDesc(oneLine(r.ID), oneLine(r.Composition)))
		}
		return list
	})
	return beginning(ids, begun), cobra.ShellCompDirectiveNoFileComp
}
