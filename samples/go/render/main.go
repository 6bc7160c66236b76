// render makes pages of data: it fills in a template for HTML.
//
// template is one of Go's package html/template, which escapes what is filled in
// as its place asks for. Each item of data is a JSON document and gives a page, of
// the same key, whose name has .html in place of .json.
//
// Exit code 1, with the reason on standard error: the template is wrong, a
// document is, or they do not fit together.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"

	"pappus/sdk/go/pappus"
)

func main() { pappus.Main(run) }

func run(in pappus.Inputs) (pappus.Outputs, error) {
	source, err := in.One("template")
	if err != nil {
		return nil, err
	}
	page, err := template.New(source.Name).Option("missingkey=error").Parse(string(source.Data))
	if err != nil {
		return nil, err
	}
	out := pappus.Outputs{}
	for _, item := range in["data"] {
		document, err := decode(item.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.Name, err)
		}
		var b bytes.Buffer
		if err := page.Execute(&b, document); err != nil {
			return nil, fmt.Errorf("%s: %w", item.Name, err)
		}
		item.Name, item.Data = strings.TrimSuffix(item.Name, ".json")+".html", b.Bytes()
		out["pages"] = append(out["pages"], item)
	}
	return out, nil
}

// decode reads a document. Numbers stay as they are written.
func decode(text []byte) (document any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return document, nil
}
