package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"pappus/client"
)

func main() {
	// The first signal asks to stop; after it they have their usual effect, so
	// that a second one ends the process at once.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)
	c := &commandLine{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv, environ: os.Environ}
	os.Exit(c.run(ctx, os.Args[1:]))
}

// commandLine is what the verbs share: where they read and write, and the
// flags that all of them have.
type commandLine struct {
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	lookupEnv func(string) (string, bool)
	environ   func() []string

	server  string
	json    bool
	started bool // a verb's own code was reached: errors before are of usage
}

// run executes the command line and returns the exit code.
func (c *commandLine) run(ctx context.Context, args []string) int {
	stderr := newEscaper(c.stderr)
	stdout := newEscaper(c.stdout)
	if isTerminal(c.stdout) {
		c.stdout = stdout
	}
	root := c.command() //nolint:contextcheck // the context comes when it is executed
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(stderr)
	verb, err := root.ExecuteContextC(ctx)
	if flushErr := stdout.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		return exitOK
	}
	if !c.started {
		err = usage("see: "+verb.CommandPath()+" --help", "%w", err)
	}
	f := failureOf(err)
	f.print(stderr, c.json)
	return f.Exit
}

func (c *commandLine) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "pappus",
		Short: "A serverless platform for pure WebAssembly functions",
		Long: `Pappus runs pure WebAssembly functions: code that imports nothing, gets sets of
items in its memory and leaves sets of items there. Every call gets a fresh
isolate of its own.`,
		Example: `  pappus serve --data /var/lib/pappus
  pappus push wordcount.wasm
  pappus invoke wordcount --in text=novel.txt`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			c.started = true
			return fromEnvironment(cmd.Flags(), c.lookupEnv, "server")
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&c.server, "server", "http://127.0.0.1:8080", "address of the server; also PAPPUS_SERVER")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON, errors too")
	root.AddCommand(
		c.serveCommand(), c.configCommand(), c.pushCommand(), c.invokeCommand(), c.runCommand(), c.lsCommand(), c.inspectCommand(),
		c.tagCommand(), c.rmCommand(), c.verifyCommand(), c.versionCommand(), c.compileWorkerCommand(),
	)
	return root
}

// client makes a client of the server that --server names.
func (c *commandLine) client() (*client.Client, error) {
	cl, err := client.New(c.server, nil)
	if err != nil {
		return nil, usage("write it like http://127.0.0.1:8080", "--server: %w", err)
	}
	return cl, nil
}
