package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pappus/registry"
)

func main() {
	// The first signal asks to stop; after it they have their usual effect, so
	// that a second one ends the process at once.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	c := &commandLine{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		lookupEnv: os.LookupEnv, environ: os.Environ, configDir: os.UserConfigDir,
	}
	context.AfterFunc(ctx, func() {
		restore()
		time.AfterFunc(patience, c.giveUp)
	})
	os.Exit(c.run(ctx, os.Args[1:]))
}

// patience is how long a verb may take to end after a signal: reading standard
// input can't be stopped otherwise.
const patience = time.Second

// giveUp ends the process, unless it is a server, which ends what runs first.
func (c *commandLine) giveUp() {
	if c.serving.Load() {
		return
	}
	_, _ = os.Stderr.WriteString("pappus: interrupted\n") // nobody is left to tell
	os.Exit(exitInterrupted)
}

// commandLine is what the verbs share: where they read and write, and the
// flags that all or many of them have.
type commandLine struct {
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	serving   atomic.Bool // it is a server, which ends by itself
	lookupEnv func(string) (string, bool)
	environ   func() []string
	configDir func() (string, error) // where users' configuration is

	global   globalFlags
	json     bool   // print JSON, errors too
	output   string // -o
	quiet    bool
	form     form         // what --json, -o and --quiet come to
	started  bool         // a verb's own code was reached: errors before are of usage
	called   registry.Ref // the function that the verb is about, as far as it is known
	alsoFile string       // a file whose name was taken for a function's
	target   target       // the server that the verb calls, as far as it is known
}

// globalFlags say which server is called. They can come from variables too.
type globalFlags struct{ server, context, ca string }

// run executes the command line and returns the exit code.
func (c *commandLine) run(ctx context.Context, args []string) int {
	stderr := newEscaper(c.stderr)
	stderr.colours = c.hasColours(c.stderr)
	stdout := newEscaper(c.stdout)
	stdout.colours = c.hasColours(c.stdout)
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
		err = misuse(verb, err)
		c.json = c.json || c.output == formJSON || slices.Contains(args, "--json") // which may come after what is wrong
	}
	f := failureOf(err)
	c.advise(ctx, f)
	f.Hint = styled(f.Hint)
	f.print(stderr, c.json)
	return f.Exit
}

func (c *commandLine) command() *cobra.Command {
	var asked bool // for the version
	root := &cobra.Command{
		Use:   "pappus",
		Short: "A serverless platform for pure WebAssembly functions",
		Long: `Pappus runs pure WebAssembly functions: code that imports nothing, gets sets of
items in its memory and leaves sets of items there. Every call gets a fresh
isolate of its own.

Which server is called: what --server or --context says, else PAPPUS_SERVER,
else the context of PAPPUS_CONTEXT, else the one chosen with "pappus context
use", else http://127.0.0.1:8080.`,
		Example: `  pappus serve --data /var/lib/pappus
  pappus push wordcount.wasm
  pappus invoke wordcount --in text=novel.txt`,
		Args:          knownVerb,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.settle(cmd.Flags()); err != nil {
				return err
			}
			c.started = true
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked {
				return c.printVersion()
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&c.global.server, "server", "", "`URL` of the server, like http://127.0.0.1:8080; also PAPPUS_SERVER")
	flags.StringVar(&c.global.context, "context", "", "`NAME` of the context whose server is called; also PAPPUS_CONTEXT")
	flags.StringVar(&c.global.ca, "ca", "", "`FILE` of the certificates that may sign an https server's, instead of the system's; also PAPPUS_CA")
	flags.BoolVar(&c.json, "json", false, "print JSON, errors too")
	root.Flags().BoolVar(&asked, "version", false, "print the version, as the verb version does")
	root.AddCommand(
		c.serveCommand(), c.configCommand(), c.pushCommand(), c.invokeCommand(), c.runCommand(), c.lsCommand(), c.inspectCommand(),
		c.newCommand(), c.buildCommand(), c.testCommand(), c.devCommand(),
		c.tagCommand(), c.rmCommand(), c.verifyCommand(), c.purifyCommand(), c.composeCommand(), c.runsCommand(), c.memoCommand(), c.contextCommand(), c.versionCommand(), c.completionCommand(root),
		c.compileWorkerCommand(),
	)
	c.completeFlags(root)
	return root
}

// settle looks at the flags that verbs share, before the verb does anything.
func (c *commandLine) settle(flags *pflag.FlagSet) error {
	var empty string
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" {
			empty = f.Name
		}
	})
	if empty != "" {
		return usage("give it a value or leave it out; a variable of the shell may be unset", "--%s is empty", empty)
	}
	if c.global.server != "" && c.global.context != "" {
		return usage("choose one of them", "--server and --context exclude each other")
	}
	return c.settleForm(flags)
}
