package spans

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// The form of OTLP's JSON: numbers of 64 bits are texts, and ids hexadecimal.
type (
	otlpRequest struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		ParentID   string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       kind            `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     otlpStatus      `json:"status"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number *string `json:"intValue,omitempty"`
	}
	otlpStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code,omitempty"`
	}
	otlpResponse struct {
		PartialSuccess struct {
			RejectedSpans json.RawMessage `json:"rejectedSpans"` // a text, or a number
			ErrorMessage  string          `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
)

const statusError = 2

// encode makes the body of a request.
func (c *Config) encode(spans []span) ([]byte, error) {
	list := make([]otlpSpan, len(spans))
	for i := range spans {
		s := &spans[i]
		o := &list[i]
		*o = otlpSpan{
			TraceID: hex.EncodeToString(s.trace[:]), SpanID: hex.EncodeToString(s.id[:]), Name: s.name, Kind: s.kind,
			Start: nanoseconds(s.began), End: nanoseconds(s.ended), Attributes: attributes(s.attributes),
		}
		if s.parent != [8]byte{} {
			o.ParentID = hex.EncodeToString(s.parent[:])
		}
		if s.ended.Before(s.began) {
			o.End = o.Start
		}
		if s.fault != "" {
			o.Status = otlpStatus{Code: statusError, Message: clipped(s.fault)}
		}
	}
	return json.Marshal(otlpRequest{ResourceSpans: []otlpResourceSpans{{
		Resource:   otlpResource{Attributes: attributes([]attribute{text("service.name", "pappus"), text("service.version", c.Version)})},
		ScopeSpans: []otlpScopeSpans{{Scope: otlpScope{Name: "pappus", Version: c.Version}, Spans: list}},
	}}})
}

func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func attributes(all []attribute) []otlpAttribute {
	list := make([]otlpAttribute, len(all))
	for i, a := range all {
		list[i].Key = a.key
		if a.isText {
			list[i].Value.Text = &a.text
		} else {
			value := strconv.FormatInt(a.number, 10)
			list[i].Value.Number = &value
		}
	}
	return list
}

// rejected is how many of so many spans a receiver says that it did not take.
func rejected(body []byte, of int) int {
	var r otlpResponse
	if json.Unmarshal(body, &r) != nil {
		return 0
	}
	digits := string(r.PartialSuccess.RejectedSpans)
	if unquoted, err := strconv.Unquote(digits); err == nil {
		digits = unquoted
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return min(max(n, 0), of)
}
