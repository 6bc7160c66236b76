package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// programVersion is what version prints as a record.
type programVersion struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (c *commandLine) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  pappus version
  pappus version -o go-template='{{.version}}'`,
		Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error { return c.printVersion() },
	}
	c.bindForm(cmd.Flags(), plainForms)
	return cmd
}

func (c *commandLine) printVersion() error {
	v := &view[programVersion]{text: func(w io.Writer, p programVersion) error {
		_, err := fmt.Fprintf(w, "pappus %s (%s, %s)\n", p.Version, p.Go, p.Platform)
		return err
	}}
	return showOne(c, v, programVersion{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
}
