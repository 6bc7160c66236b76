package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/client"
	"pappus/dispatcher"
)

// callFlags are the flags of a call, with a server (invoke) or without (run).
type callFlags struct {
	in    []string
	raw   string
	out   string
	stats bool
}

func (f *callFlags) bind(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.in, "in", nil, "an input, like `SET=FILE`; may be repeated")
	flags.StringVar(&f.raw, "raw", "", "one item for the first input set: `FILE`, - for stdin, or text:WORDS")
	flags.StringVar(&f.out, "out", "", "write each output item to `DIR`/SET/ITEM")
	flags.BoolVar(&f.stats, "stats", false, "print times and fuel to stderr, and whether the answer was remembered")
}

func (f *callFlags) check(asJSON bool) error {
	if slices.Contains(f.in, "") {
		return usage("give it a value or leave it out; a variable of the shell may be unset", "--in is empty")
	}
	if len(f.in) > 0 && f.raw != "" {
		return usage("give all inputs with --in", "--in and --raw exclude each other")
	}
	if f.out != "" && asJSON {
		return usage("choose one of them", "--out and --json exclude each other")
	}
	return nil
}

func (c *commandLine) invokeCommand() *cobra.Command {
	var call callFlags
	var mediaType string
	var parallelism int
	var traced bool
	var cache cacheFlags
	cmd := &cobra.Command{
		Use:   "invoke REF",
		Short: "Call a function or composition on the server",
		Long: `Calls a function or composition and prints what it gives: the bytes of a single
item as they are, several items with a line before each. REF is NAME, NAME@TAG,
NAME@NUMBER or NAME@sha256:DIGEST. With --timeline the server keeps a record of a
composition's run, which is drawn afterwards, also if it failed: a row for each
application over time. "pappus runs" shows it again.

` + inputHelp,
		Example: `  pappus invoke wordcount --in text=novel.txt
  pappus invoke sumoccurrence --in logs=logs --in pattern=text:ERROR
  cat novel.txt | pappus invoke wordcount@2 --raw -
  pappus invoke matmul --in matrices=m.bin --out results
  pappus invoke logcount --in logs=logs --in pattern=text:ERROR --timeline`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeReferences,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := call.check(c.json); err != nil {
				return err
			}
			if err := c.reference(args[0]); err != nil {
				return err
			}
			if call.raw == "" && cmd.Flags().Changed("type") {
				return usage("give the body with --raw, or leave --type out", "--type says what --raw is, and there is none")
			}
			cached, err := cache.header()
			if err != nil {
				return err
			}
			body, given, err := c.invocationBody(&call, mediaType)
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			inv := client.Invocation{Body: body, Trace: traced, Cache: cached}
			if cmd.Flags().Changed("parallelism") {
				if parallelism < 1 || parallelism > dispatcher.MaxParallelism {
					return usage("leave it out for the default", "--parallelism %d: it is a number from 1 to %d", parallelism, dispatcher.MaxParallelism)
				}
				inv.Query = url.Values{"parallelism": {strconv.Itoa(parallelism)}}
			}
			switch {
			case c.json:
				inv.Accept = client.TypeJSON
			case call.out != "":
				inv.Accept = client.TypeMultipart
			}
			c.warnMissing(cmd.Context(), cmd.ErrOrStderr(), cl, args[0], given)
			answer, err := c.invoke(cmd.Context(), cl, args[0], inv)
			var failed *client.Problem
			if errors.As(err, &failed) && failed.RunID != "" {
				c.showTimeline(cmd.Context(), cl, cmd.ErrOrStderr(), args[0], failed.RunID)
			}
			if err != nil {
				return given.named(err)
			}
			defer answer.Close()
			if err := c.showAnswer(answer, &call); err != nil {
				return err
			}
			if traced {
				c.showTimeline(cmd.Context(), cl, cmd.ErrOrStderr(), args[0], answer.RunID)
			}
			if call.stats {
				return printStats(cmd.ErrOrStderr(), answer.Fuel, answer.Timing, answer.Cache)
			}
			return nil
		},
	}
	call.bind(cmd.Flags())
	c.bindForm(cmd.Flags(), onlyJSON())
	c.bindQuiet(cmd.Flags(), "tell nothing of progress, and of inputs that are not given")
	cmd.Flags().IntVar(&parallelism, "parallelism", dispatcher.DefaultParallelism, "how many instances `N` anyEach and anyKeyed of a composition may make")
	cmd.Flags().BoolVar(&traced, "timeline", false, "draw the run of a composition over time on stderr")
	cmd.Flags().BoolVar(&cache.noCache, "no-cache", false, "have it computed, also if the result is remembered")
	cmd.Flags().BoolVar(&cache.noStore, "no-store", false, "have it computed, and the result not remembered")
	cmd.Flags().BoolVar(&cache.onlyIfCached, "only-if-cached", false, "don't have it computed: it fails if the result is not remembered")
	cmd.Flags().StringVar(&mediaType, "type", "application/octet-stream", "media `TYPE` of --raw; application/json and multipart/form-data bodies hold named sets")
	return cmd
}

// invoke calls a function, and tells how far that is until its answer begins.
func (c *commandLine) invoke(ctx context.Context, cl *client.Client, ref string, inv client.Invocation) (*client.Answer, error) {
	p := c.startProgress("running " + ref)
	defer p.Stop()
	inv.Body.Reader = p.Counted(inv.Body.Reader, inv.Body.Size)
	return cl.Invoke(ctx, ref, inv)
}

// invocationBody makes the body that the flags describe.
func (c *commandLine) invocationBody(call *callFlags, mediaType string) (client.Body, givenInputs, error) {
	reader := inputReader{stdin: c.stdin}
	if call.raw != "" {
		open, size, err := reader.source(call.raw)
		typ, _, _ := mime.ParseMediaType(mediaType) // of what is none the server says so
		whole := typ == client.TypeJSON || typ == "multipart/form-data"
		return client.Body{Reader: &lazyReader{open: open}, Type: mediaType, Size: size}, givenInputs{raw: !whole, whole: whole}, err
	}
	inputs, err := reader.parse(call.in)
	if err != nil {
		return client.Body{}, givenInputs{}, err
	}
	g := givenInputs{inputs: inputs}
	for _, value := range call.in {
		target, _, _ := strings.Cut(value, "=")
		set, _, _ := strings.Cut(target, "/")
		g.sets = append(g.sets, set)
	}
	if len(inputs) == 0 {
		return client.BytesBody([]byte(`{"inputs": {}}`), client.TypeJSON), g, nil
	}
	body, err := client.ItemsBody(items(inputs))
	return body, g, err
}

func (c *commandLine) showAnswer(answer *client.Answer, call *callFlags) error {
	switch {
	case c.json:
		if _, err := io.Copy(c.stdout, answer.Body); err != nil { // it ends with a line end
			return fmt.Errorf("read the answer: %w", err)
		}
		return nil
	case call.out != "":
		return writeItems(c.stdout, call.out, answer.Items())
	case answer.Type == client.TypeMultipart:
		return showItems(c.stdout, answer.Items())
	default:
		if _, err := io.Copy(c.stdout, answer.Body); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return nil
	}
}

// printStats prints what a call took, and whether its result was remembered, if
// cache, the Cache-Status of a server, says so. What I/O functions have from caches
// is not in that.
func printStats(w io.Writer, fuel int64, timing map[string]time.Duration, cache string) error {
	if cache != "" {
		cache = "  memo " + oneLine(strings.TrimPrefix(cache, "pappus; "))
	}
	_, err := fmt.Fprintf(w, "queue %v  prepare %v  run %v  fuel %d%s\n", timing["queue"], timing["prepare"], timing["run"], fuel, cache)
	return err
}
