package client

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
)

// Item is one item to be sent.
type Item struct {
	Set  string
	Name string
	Key  uint32
	Body io.Reader
	Size int64 // in bytes; -1 if that is not known
}

// ItemsBody is a body of any number of items in any number of sets:
// multipart/form-data, whose parts are read from the items' bodies as it is
// sent. It fails when a name has control characters: those would be read as
// something else than a name.
func ItemsBody(items []Item) (Body, error) {
	boundary := rand.Text() // 128 random bits: no content has it by accident
	readers := make([]io.Reader, 0, 2*len(items)+1)
	var size int64
	known := true
	literal := func(text string) {
		readers = append(readers, strings.NewReader(text))
		size += int64(len(text))
	}
	lead := "--"
	for _, item := range items {
		for _, name := range []string{item.Set, item.Name} {
			if strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
				return Body{}, fmt.Errorf("name %q has control characters", name)
			}
		}
		head := lead + boundary + "\r\n" +
			"Content-Disposition: form-data; name=" + quote(item.Set) + "; filename=" + quote(item.Name) + "\r\n" +
			"Content-Type: application/octet-stream\r\n"
		if item.Key != 0 {
			head += fmt.Sprintf("%s: %d\r\n", keyHeader, item.Key)
		}
		literal(head + "\r\n")
		readers = append(readers, item.Body)
		size += item.Size
		known = known && item.Size >= 0
		lead = "\r\n--"
	}
	literal(lead + boundary + "--\r\n")
	if !known {
		size = -1
	}
	return Body{Reader: io.MultiReader(readers...), Type: "multipart/form-data; boundary=" + boundary, Size: size}, nil
}

// quote makes a quoted string: raw UTF-8 with " and \ escaped.
func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
}
