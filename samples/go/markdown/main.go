// markdown makes HTML of Markdown: CommonMark, with tables, task lists,
// strikethrough and links that are only written out, as GitHub has them.
//
// Each item of texts gives an item of pages, of the same key, whose name has .html
// in place of .md. HTML in a text is left out, and so are links that run code.
package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	"pappus/sdk/go/pappus"
)

func main() { pappus.Main(function(converter())) }

func converter() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
}

func function(md goldmark.Markdown) pappus.Function {
	return func(in pappus.Inputs) (pappus.Outputs, error) {
		out := pappus.Outputs{}
		for _, item := range in["texts"] {
			var page bytes.Buffer
			if err := md.Convert(item.Data, &page); err != nil {
				return nil, fmt.Errorf("%s: %w", item.Name, err)
			}
			item.Name, item.Data = strings.TrimSuffix(item.Name, ".md")+".html", page.Bytes()
			out["pages"] = append(out["pages"], item)
		}
		return out, nil
	}
}
