package spans

import (
	"time"

	"pappus/iofuncs"
)

// Impatient has an exporter wait no time between tries.
func (e *Exporter) Impatient() { e.first = time.Millisecond }

// MaxSpans is how many spans are made of one run.
const MaxSpans = maxSpans

// ParseParent reads a traceparent.
func ParseParent(values ...string) (iofuncs.TraceID, iofuncs.SpanID, bool) {
	return parseParent(values)
}
