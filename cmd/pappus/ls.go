package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pappus/client"
)

func (c *commandLine) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls [NAME]",
		Short: "List functions, or the versions of one",
		Example: `  pappus ls
  pappus ls wordcount
  pappus ls --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			page := cl.ListFunctions
			if len(args) == 1 {
				page = func(ctx context.Context, cursor string, limit int) (client.Page, error) {
					return cl.Versions(ctx, args[0], cursor, limit)
				}
			}
			all := []client.Function{}
			for cursor := ""; ; {
				p, err := page(cmd.Context(), cursor, 0)
				if err != nil {
					return err
				}
				all = append(all, p.Items...)
				if cursor = p.Next; cursor == "" {
					break
				}
			}
			if c.json {
				return c.printJSON(all)
			}
			return printFunctions(c.stdout, all)
		},
	}
}

func printFunctions(w io.Writer, list []client.Function) error {
	if len(list) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tVERSION\tTAGS\tENGINE\tCREATED\tDIGEST") // Flush has the error
	for _, f := range list {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", oneLine(f.Name), f.Version, oneLine(tagsOf(f)), oneLine(f.Engine),
			f.Created.Local().Format("2006-01-02 15:04:05"), oneLine(f.Digest))
	}
	return table.Flush()
}

// tagsOf lists the tags that name this version.
func tagsOf(f client.Function) string {
	var tags []string
	for _, tag := range slices.SortedFunc(maps.Keys(f.Tags), cmp.Compare[string]) {
		if f.Tags[tag] == f.Version {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, ",")
}

// printJSON prints a value as indented JSON.
func (c *commandLine) printJSON(value any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
