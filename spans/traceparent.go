package spans

import (
	"encoding/hex"
	"strings"

	"pappus/iofuncs"
)

// lengthOfParent is that of a traceparent of version 00, with which those of later
// versions begin.
const lengthOfParent = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")

// parseParent reads the values of the field traceparent, of which there is to be
// one. What is no such value is as none: it says nothing. Its flags are not looked
// at, since who calls does not decide what is traced.
func parseParent(values []string) (trace iofuncs.TraceID, span iofuncs.SpanID, ok bool) {
	if len(values) != 1 {
		return trace, span, false
	}
	text := values[0]
	if len(text) < lengthOfParent || strings.ContainsFunc(text[:lengthOfParent], func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-'
	}) {
		return trace, span, false
	}
	version := text[:2]
	switch {
	case text[2] != '-' || text[35] != '-' || text[52] != '-',
		version == "ff",
		version == "00" && len(text) > lengthOfParent,
		len(text) > lengthOfParent && text[lengthOfParent] != '-':
		return trace, span, false
	}
	var rest [2]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{rest[:1], version}, {trace[:], text[3:35]}, {span[:], text[36:52]}, {rest[1:], text[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			return iofuncs.TraceID{}, iofuncs.SpanID{}, false
		}
	}
	if trace == (iofuncs.TraceID{}) || span == (iofuncs.SpanID{}) {
		return iofuncs.TraceID{}, iofuncs.SpanID{}, false
	}
	return trace, span, true
}
