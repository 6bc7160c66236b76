package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/internal/contexts"
	"pappus/registry"
)

func (c *commandLine) contextCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Keep several servers under names, and choose one",
		Long: `Keeps the addresses of servers under names, in pappus/contexts.yaml in the folder
for users' configuration. The context "default" is always there: it is the server
at http://127.0.0.1:8080.

The flags --server and --context go before the variables PAPPUS_SERVER and
PAPPUS_CONTEXT (in this order), and these before the context in use.`,
		Example: `  pappus context add staging https://pappus.example:8443 --ca ca.pem
  pappus context use staging
  pappus context ls
  pappus ls --context default`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.contextAddCommand(), c.contextUseCommand(), c.contextLsCommand(), c.contextRmCommand(), c.contextShowCommand())
	return cmd
}

// namedContext is a context as it is printed.
type namedContext struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	CA      string `json:"ca,omitempty"`
	Current bool   `json:"current"`
}

func contextOf(file *contexts.File, name string) namedContext {
	if name == fromDefault {
		return namedContext{Name: name, Server: defaultServer, Current: file.Current == ""}
	}
	one := file.Contexts[name]
	return namedContext{name, one.Server, one.CA, file.Current == name}
}

func contextView() *view[namedContext] {
	return &view[namedContext]{
		name: func(n namedContext) string { return n.Name },
		columns: []column[namedContext]{
			{title: "CURRENT", value: func(n namedContext) string {
				if n.Current {
					return "*"
				}
				return " "
			}},
			{title: "NAME", value: func(n namedContext) string { return n.Name }},
			{title: "SERVER", value: func(n namedContext) string { return n.Server }},
			{title: "CA", value: func(n namedContext) string { return n.CA }},
		},
	}
}

// contextWait is how long a command waits for another that changes the
// contexts.
const contextWait = 10 * time.Second

// changeContexts changes the file of contexts, and returns it as it is then.
func (c *commandLine) changeContexts(ctx context.Context, change func(*contexts.File) error) (*contexts.File, error) {
	path, err := c.contextsPath()
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, contextWait)
	defer cancel()
	var changed *contexts.File
	err = contexts.Update(bounded, path, func(file *contexts.File) error {
		changed = file
		return change(file)
	})
	return changed, contextsFailure(err)
}

func (c *commandLine) contextAddCommand() *cobra.Command {
	var use bool
	cmd := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Keep a server under a name",
		Long: `Keeps the address of a server under a name: a URL, or HOST:PORT for one that
speaks plain HTTP. --ca FILE keeps the certificates that
may sign an https server's with it.`,
		Example: `  pappus context add local http://127.0.0.1:8081
  pappus context add staging https://pappus.example:8443 --ca ca.pem --use`,
		Args:              takes(2, 2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			one, err := c.newContext(name, args[1])
			if err != nil {
				return err
			}
			file, err := c.changeContexts(cmd.Context(), func(file *contexts.File) error {
				if _, ok := file.Contexts[name]; ok {
					return usage("choose another name, or remove it first: pappus context rm "+name, "there is a context %q already", name)
				}
				file.Contexts[name] = one
				if use {
					file.Current = name
				}
				return nil
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(contextOf(file, name))
			}
			_, err = fmt.Fprintf(c.stdout, "added %s: %s\n", name, oneLine(one.Server))
			if err == nil && use {
				return c.sayUsed(cmd.ErrOrStderr(), name)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&use, "use", false, "call this server from now on")
	c.bindForm(cmd.Flags(), onlyJSON())
	return cmd
}

// newContext makes a context of what the command line says.
func (c *commandLine) newContext(name, address string) (contexts.Context, error) {
	one := contexts.Context{Server: address}
	if err := registry.CheckName(name); err != nil {
		return one, badName(err, nameHint)
	}
	if name == fromDefault {
		return one, usage("choose another name", "the context %q is always there", name)
	}
	if !strings.Contains(address, "://") {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return one, usage("write HOST:PORT, or a URL like http://127.0.0.1:8080 or https://pappus.example", "%q has neither a port nor http:// or https://", address)
		}
	}
	cl, err := client.New(address, nil)
	if err != nil {
		return one, usage("write it like http://127.0.0.1:8080", "%w", err)
	}
	one.Server = cl.Address()
	if c.global.server != "" || c.global.context != "" {
		return one, usage("give the address as the second argument", "--server and --context say nothing here")
	}
	if c.global.ca == "" {
		return one, nil
	}
	if !isHTTPS(one.Server) {
		return one, usage("leave --ca out, or name a server with https://", "--ca says who may sign a server's certificate, and %s has none", one.Server)
	}
	if _, err := readCertificates(c.global.ca); err != nil {
		return one, err
	}
	one.CA, err = filepath.Abs(c.global.ca)
	return one, err
}

func (c *commandLine) contextUseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use NAME",
		Short: "Call the server of a context from now on",
		Example: `  pappus context use staging
  pappus context use default`,
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := c.changeContexts(cmd.Context(), func(file *contexts.File) error {
				if args[0] == fromDefault {
					file.Current = ""
					return nil
				}
				if _, ok := file.Contexts[args[0]]; !ok {
					return unknownContext(file, "", args[0])
				}
				file.Current = args[0]
				return nil
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(contextOf(file, args[0]))
			}
			return c.sayUsed(cmd.ErrOrStderr(), args[0])
		},
	}
	c.bindForm(cmd.Flags(), onlyJSON())
	return cmd
}

// sayUsed says which context is in use, and what goes before it.
func (c *commandLine) sayUsed(stderr io.Writer, name string) error {
	if _, err := fmt.Fprintf(c.stdout, "using %s\n", name); err != nil {
		return err
	}
	for _, variable := range []string{serverVariable, contextVariable} {
		if c.variable(variable) != "" {
			_, err := fmt.Fprintf(stderr, "note: %s is set, and goes before it\n", variable)
			return err
		}
	}
	return nil
}

func (c *commandLine) contextLsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the contexts; the one in use has a *",
		Example: `  pappus context ls
  pappus context ls --quiet`,
		Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			path, err := c.contextsPath()
			if err != nil {
				return err
			}
			file, err := readContexts(path)
			if err != nil {
				return err
			}
			return showAll(c, contextView(), func(yield func(namedContext, error) bool) {
				for _, name := range append([]string{fromDefault}, file.Names()...) {
					if !yield(contextOf(file, name), nil) {
						return
					}
				}
			})
		},
	}
	c.bindForm(cmd.Flags(), allForms)
	c.bindQuiet(cmd.Flags(), "print names only")
	return cmd
}

func (c *commandLine) contextRmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "rm NAME",
		Short:             "Forget a context; if it is in use, default is from then on",
		Example:           "  pappus context rm staging",
		Args:              takes(1, 1),
		ValidArgsFunction: c.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == fromDefault {
				return usage("nothing is to be done", "the context %q is always there", args[0])
			}
			_, err := c.changeContexts(cmd.Context(), func(file *contexts.File) error {
				if _, ok := file.Contexts[args[0]]; !ok {
					return unknownContext(file, "", args[0])
				}
				delete(file.Contexts, args[0])
				if file.Current == args[0] {
					file.Current = ""
				}
				return nil
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]string{"removed": args[0]})
			}
			_, err = fmt.Fprintf(c.stdout, "removed %s\n", args[0])
			return err
		},
	}
	c.bindForm(cmd.Flags(), onlyJSON())
	return cmd
}

func (c *commandLine) contextShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show a context, or which server is called and why",
		Example: `  pappus context show
  pappus context show staging -o go-template='{{.server}}'`,
		Args:              takes(0, 1),
		ValidArgsFunction: c.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := c.findTarget()
			if len(args) == 1 {
				t, err = c.contextTarget(args[0], "context "+args[0])
			}
			if err != nil {
				return err
			}
			return showOne(c, &view[target]{text: func(w io.Writer, t target) error {
				return printRows(w, []row{{"server", t.Server}, {"ca", t.CA}, {"context", t.Context}, {"from", t.From}})
			}}, t)
		},
	}
	c.bindForm(cmd.Flags(), plainForms)
	return cmd
}
