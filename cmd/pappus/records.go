package main

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
)

// view says how records of one kind are shown.
type view[T any] struct {
	columns []column[T]              // of the table
	name    func(T) string           // what stands for a record in other commands
	text    func(io.Writer, T) error // one record for people; nil: a table
}

// column is one column of a table.
type column[T any] struct {
	title string
	only  string // the form that has it; "": both
	value func(T) string
}

// showOne prints a record in the form that was asked for.
func showOne[T any](c *commandLine, v *view[T], record T) error {
	switch c.form.kind {
	case formJSON:
		return c.printJSON(record)
	case formYAML:
		text, err := yamlText(record)
		if err != nil {
			return err
		}
		_, err = c.stdout.Write(text)
		return err
	case "":
		if v.text != nil {
			return v.text(c.stdout, record)
		}
	}
	return showAll(c, v, func(yield func(T, error) bool) { yield(record, nil) })
}

// showAll prints records as they come, in the form that was asked for; those
// of a table, whose columns are as wide as the widest, when all are there.
func showAll[T any](c *commandLine, v *view[T], records iter.Seq2[T, error]) error {
	switch c.form.kind {
	case formJSON:
		return showJSON(c.stdout, records)
	case formYAML:
		return showYAML(c.stdout, records)
	case formTemplate:
		return each(records, func(record T) error {
			text, err := c.form.execute(record)
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(text)
			return err
		})
	case formName:
		return each(records, func(record T) error {
			_, err := fmt.Fprintln(c.stdout, oneLine(v.name(record)))
			return err
		})
	}
	return showTable(c.stdout, v, c.form.kind, records)
}

func each[T any](records iter.Seq2[T, error], do func(T) error) error {
	for record, err := range records {
		if err != nil {
			return err
		}
		if err := do(record); err != nil {
			return err
		}
	}
	return nil
}

// showJSON writes an array, holding one record at a time.
func showJSON[T any](w io.Writer, records iter.Seq2[T, error]) error {
	between, end := "[\n  ", "[]\n"
	err := each(records, func(record T) error {
		text, err := jsonText(record, "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%s", between, bytes.TrimSuffix(text, []byte("\n")))
		between, end = ",\n  ", "\n]\n"
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, end)
	return err
}

// showYAML writes a list, holding one record at a time.
func showYAML[T any](w io.Writer, records iter.Seq2[T, error]) error {
	end := "[]\n"
	err := each(records, func(record T) error {
		end = ""
		text, err := yamlText([]T{record})
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, end)
	return err
}

// showTable writes a table; nothing if there are no records.
func showTable[T any](w io.Writer, v *view[T], kind string, records iter.Seq2[T, error]) error {
	if kind == "" {
		kind = formTable
	}
	var columns []column[T]
	var titles []string
	for _, col := range v.columns {
		if col.only == "" || col.only == kind {
			columns, titles = append(columns, col), append(titles, col.title)
		}
	}
	t := newTable(titles...)
	empty := true
	err := each(records, func(record T) error {
		empty = false
		cells := make([]string, len(columns))
		for i, col := range columns {
			cells[i] = col.value(record)
		}
		t.add(cells...)
		return nil
	})
	if err != nil || empty {
		return err
	}
	return t.writeTo(w)
}

// table lines up cells below titles.
type table struct {
	text  bytes.Buffer
	cells *tabwriter.Writer
}

func newTable(titles ...string) *table {
	t := new(table)
	t.cells = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	t.add(titles...)
	return t
}

// add adds a line. Cells that are empty are shown as "-".
func (t *table) add(cells ...string) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		if line[i] = oneLine(cell); cell == "" {
			line[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(t.cells, strings.Join(line, "\t")) // a buffer takes everything
}

// writeTo writes the table, the titles bold where that is possible.
func (t *table) writeTo(w io.Writer) error {
	if err := t.cells.Flush(); err != nil {
		return err
	}
	titles, rest, _ := strings.Cut(t.text.String(), "\n")
	if err := paint(w, bold, titles); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n"+rest)
	return err
}
