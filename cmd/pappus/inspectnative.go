package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"pappus/chericapengine"
	"pappus/chericapengine/loader"
	"pappus/client"
	"pappus/data"
	"pappus/engine"
	"pappus/engine/abi"
)

// nativeReport is what can be known of native code without running it. Addresses
// are those in a context.
type nativeReport struct {
	Accepted bool            `json:"accepted"`
	Refusals []refusal       `json:"refusals"`
	Entry    uint64          `json:"entry,omitempty"`
	Stack    uint64          `json:"stack,omitempty"`  // bytes, below the lowest segment
	Memory   int64           `json:"memory,omitempty"` // the memory limit can't be lower
	Segments []nativeSegment `json:"segments,omitempty"`
	Symbols  []nativeSymbol  `json:"symbols,omitempty"` // those that the platform uses

	manifest engine.Manifest
	refused  error
}

type nativeSegment struct {
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
	File    int    `json:"file"` // bytes of Size that are in the file; the others are 0
	Access  string `json:"access"`
}

type nativeSymbol struct {
	Name    string `json:"name"`
	Address uint64 `json:"address"`
	Size    uint64 `json:"size"`
}

// reportOnNative looks at native code as a server does that is asked to register it.
func reportOnNative(code []byte) (*nativeReport, error) {
	image, err := loader.Load(code)
	var refused *engine.RejectedError
	switch {
	case errors.As(err, &refused):
		return &nativeReport{Refusals: []refusal{{Reason: refused.Reason, Hint: refused.Hint}}, refused: err}, nil
	case err != nil:
		return nil, err
	}
	r := &nativeReport{
		Accepted: true, Refusals: []refusal{}, Entry: image.Entry, Stack: image.Start, manifest: image.Manifest,
		Symbols: []nativeSymbol{{loader.SystemSymbol, image.System, uint64(abi.Native64.SystemSize())}, {loader.ReturnSymbol, image.Return, loader.ReturnSize}},
	}
	for i := range image.Segments {
		s := &image.Segments[i]
		access := "read"
		switch {
		case s.Executable:
			access = "read, execute"
		case s.Writable:
			access = "read, write"
		}
		r.Segments = append(r.Segments, nativeSegment{s.Address, s.Size, len(s.Data), access})
	}
	eng, err := chericapengine.New(chericapengine.Config{})
	if err != nil {
		return nil, err
	}
	known, err := eng.Inspect(code)
	r.Memory = known.Memory
	return r, errors.Join(err, eng.Close())
}

// rows are the lines of a description that native code has.
func (r *nativeReport) rows() []row {
	if !r.Accepted {
		return nil
	}
	rows := []row{
		{"entry", fmt.Sprintf("%#x", r.Entry)},
		{"own stack", countBytes(int64(r.Stack)) + ", below its lowest segment"},
		{"memory", "at least " + engine.Bytes(r.Memory).Long()},
	}
	for _, s := range r.Symbols {
		rows = append(rows, row{"symbol", fmt.Sprintf("%s at %#x, %s", s.Name, s.Address, countBytes(int64(s.Size)))})
	}
	return rows
}

// print shows what is not in rows.
func (r *nativeReport) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.Refusals {
		_, _ = fmt.Fprintf(table, "\nrefused: %s\n  hint: %s\n", oneLine(x.Reason), oneLine(x.Hint)) // Flush has the error
	}
	if len(r.Segments) > 0 {
		_, _ = fmt.Fprintf(table, "\nsegments (%d)\n  address\tbytes\tin the file\taccess\n", len(r.Segments))
	}
	for _, s := range r.Segments {
		_, _ = fmt.Fprintf(table, "  %#x\t%d\t%d\t%s\n", s.Address, s.Size, s.File, s.Access)
	}
	return table.Flush()
}

// inspectedNative is what inspect prints of a file of native code.
type inspectedNative struct {
	File        string         `json:"file"`
	Engine      string         `json:"engine"`
	CodeDigest  string         `json:"code_digest"`
	Size        int            `json:"size"`
	Description string         `json:"description,omitempty"`
	Inputs      []engine.Param `json:"inputs"`
	Outputs     []engine.Param `json:"outputs"`
	Open        bool           `json:"open,omitempty"`
	nativeReport
}

func (c *commandLine) inspectNative(path string, code []byte) error {
	r, err := reportOnNative(code)
	if err != nil {
		return err
	}
	sig := r.manifest.Signature()
	f := inspectedNative{
		path, chericapengine.Name, data.Sum(code).String(), len(code), r.manifest.Description, orEmpty(sig.Inputs), orEmpty(sig.Outputs), sig.Open, *r,
	}
	if err := showOne(c, nativeView(), f); err != nil {
		return err
	}
	return r.refused
}

func nativeView() *view[inspectedNative] {
	return &view[inspectedNative]{
		name: func(f inspectedNative) string { return f.File },
		columns: []column[inspectedNative]{
			{title: "FILE", value: func(f inspectedNative) string { return f.File }},
			{title: "ACCEPTED", value: func(f inspectedNative) string { return strconv.FormatBool(f.Accepted) }},
			{title: "ENGINE", value: func(f inspectedNative) string { return f.Engine }},
			{title: "SIZE", value: func(f inspectedNative) string { return roughBytes(int64(f.Size)) }},
			{title: "INPUTS", value: func(f inspectedNative) string { return paramList(f.Inputs, f.Open) }},
			{title: "OUTPUTS", value: func(f inspectedNative) string { return paramList(f.Outputs, f.Open) }},
			{title: "CODE", only: formWide, value: func(f inspectedNative) string { return f.CodeDigest }},
		},
		text: func(w io.Writer, f inspectedNative) error {
			head := []row{
				{"file", f.File},
				{"engine", f.Engine},
				{"code", fmt.Sprintf("%s (%s)", f.CodeDigest, countBytes(int64(f.Size)))},
				{"about", f.Description},
			}
			if f.Accepted {
				head = append(head, row{"inputs", paramList(f.Inputs, f.Open)}, row{"outputs", paramList(f.Outputs, f.Open)})
			}
			if err := printRows(w, append(head, f.rows()...)); err != nil {
				return err
			}
			return f.print(w)
		},
	}
}

// nativeOf fetches the native code of a version and looks at it; nil if it has
// none.
func nativeOf(ctx context.Context, cl *client.Client, f *client.Function) (*nativeReport, error) {
	if _, ok := f.Code[chericapengine.Name]; !ok {
		return nil, nil
	}
	code, err := fetchCode(ctx, cl, f, chericapengine.Name)
	if err != nil {
		return nil, err
	}
	return reportOnNative(code)
}

// printNative shows native code below what was shown of the version.
func printNative(w io.Writer, f *client.Function, r *nativeReport) error {
	ref := f.Code[chericapengine.Name]
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	head := []row{{"native", fmt.Sprintf("%s (%s)", ref.Digest, countBytes(ref.Size))}}
	if err := printRows(w, append(head, r.rows()...)); err != nil {
		return err
	}
	return r.print(w)
}
