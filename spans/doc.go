// Package spans lets OpenTelemetry see invocations.
//
// It owns which invocations are traced, under which ids, what spans are made of
// them, and the way of these to a receiver: OTLP over HTTP, as JSON. Spans are made
// of records of what has happened, when it has: nothing of it is in the way of what
// happens. It knows records, and nothing of how they come about; of requests to the
// server it knows the field traceparent, which is hostile.
package spans
