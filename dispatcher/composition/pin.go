package composition

import (
	"errors"
	"fmt"
	"strings"

	"pappus/data"
)

// ErrScript says that a script can't do what the form of applications can.
var ErrScript = errors.New("a script applies functions by their names, and has no place for a digest; write the composition in the form of applications")

// Pin writes into a source which versions it applies: each reference becomes
// "name@sha256:…", but for those that are digests already. digest finds the version
// that a reference means now; with a zero one it stays, and errors end Pin. The rest
// of the source stays as it is. It fails with *InvalidError if the source can't be read, and with ErrScript.
func Pin(source string, digest func(reference string) (data.Digest, error)) (string, error) {
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
	at := 0
	for _, f := range m.functions {
		reference, insert := f.name.text, " = "
		from := int(f.name.offset) + len(f.name.text)
		to := from
		if f.reference.text != "" {
			reference, insert = f.reference.text, ""
			from = int(f.reference.offset)
			to = from + len(`"`+reference+`"`)
		}
		name, which, _ := strings.Cut(reference, "@")
		if strings.HasPrefix(which, data.DigestPrefix) {
			continue
		}
		d, err := digest(reference)
		if err != nil {
			return "", fmt.Errorf("pin %.200s: %w", reference, err)
		}
		if d.IsZero() {
			continue
		}
		fmt.Fprintf(&b, `%s%s"%s@%s"`, source[at:from], insert, name, d)
		if at = to; insert != "" && strings.HasPrefix(source[at:], "(") {
			b.WriteByte(' ')
		}
	}
	return b.String() + source[at:], nil
}
