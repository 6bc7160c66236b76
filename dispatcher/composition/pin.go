package composition

import (
	"errors"
	"strings"
)

// ErrScript is the error of what only the form of applications can say.
var ErrScript = errors.New("a script has no references; write it in the form of applications")

// Pin rewrites the references of a source, all else staying as it is. For each
// declaration of a function pinned is asked with its reference, and returns what
// is to stand there instead, or "" to leave it. Its error ends Pin. Others are
// ErrScript and *InvalidError; a source with mistakes of meaning is rewritten
// all the same.
func Pin(source string, pinned func(reference string) (string, error)) (string, error) {
	r := newReporter(source)
	if r.tooLarge() {
		return "", r.err()
	}
	m := newParser(r, lex(r)).parse()
	if err := r.err(); err != nil {
		return "", err
	}
	if m.script {
		return "", ErrScript
	}
	var b strings.Builder
	from := 0
	for _, f := range m.functions {
		word, at, old := " = ", int(f.name.offset)+len(f.name.text), 0
		reference := f.name.text
		if f.reference.text != "" {
			word, at, old = "", int(f.reference.offset), len(f.reference.text)+len(`""`)
			reference = f.reference.text
		}
		text, err := pinned(reference)
		if err != nil {
			return "", err
		}
		if text == "" {
			continue
		}
		b.WriteString(source[from:at] + word + `"` + text + `"`)
		if from = at + old; old == 0 && !strings.HasPrefix(source[from:], " ") {
			b.WriteByte(' ')
		}
	}
	b.WriteString(source[from:])
	return b.String(), nil
}
