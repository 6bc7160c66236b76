package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pappus/client"
	"pappus/engine"
)

func (c *commandLine) pushCommand() *cobra.Command {
	var (
		name      string
		tags      []string
		memo      string
		signature signatureFlags
		limits    limitFlags
	)
	cmd := &cobra.Command{
		Use:   "push FILE",
		Short: "Register a function with the server",
		Long: `Registers the code in FILE as a new version of a function and moves the tag
"latest" to it, or only the tags that --tag names. What the code's manifest says
of signature and limits can be overridden. The same code with the same settings
gives the version that exists.`,
		Example: `  pappus push wordcount.wasm
  pappus push build/out.wasm --name count --input text --output counts/item --memory 64MiB --timeout 2s
  pappus push wordcount.wasm --tag canary`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if signature.given() {
				if _, err := signature.signature(); err != nil {
					return err
				}
			}
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), ".wasm")
			}
			reader := inputReader{stdin: c.stdin}
			open, size, err := reader.source(args[0])
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			l := limits.limits
			code := client.Body{Reader: &lazyReader{open: open}, Size: size, Type: "application/octet-stream"}
			f, created, err := cl.PutFunction(cmd.Context(), name, code, client.PutOptions{
				Inputs: signature.inputs, Outputs: signature.outputs,
				Memory: sizeText(l.Memory), Stack: sizeText(l.Stack), OutputLimit: sizeText(l.Output),
				Fuel: numberText(l.Fuel), Timeout: timeText(l.Timeout), Memo: memo, Tags: tags,
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(f)
			}
			what := "registered"
			if !created {
				what = "unchanged"
			}
			_, err = fmt.Fprintf(c.stdout, "%s %s@%d %s\n", what, f.Name, f.Version, f.Digest)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "name of the function (default: the file's name without .wasm)")
	flags.StringArrayVar(&tags, "tag", nil, "tag to move to this version instead of latest; may be repeated")
	flags.StringVar(&memo, "memo", "", "whether results may be remembered: auto or off")
	signature.bind(flags)
	limits.bind(flags)
	return cmd
}

func sizeText(b engine.Bytes) string {
	if b == 0 {
		return ""
	}
	return b.String()
}

func timeText(d engine.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func numberText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
