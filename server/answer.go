package server

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/server/problem"
)

// Header values that are the same for all answers.
var (
	valueNosniff = []string{"nosniff"}
	valueSandbox = []string{"sandbox"}
	valueBytes   = []string{typeBytes}
	valueJSON    = []string{typeJSON}
	valueProblem = []string{problem.ContentType}
)

// What stands before the durations in Server-Timing.
const (
	timingQueue   = "queue;dur="
	timingPrepare = "prepare;dur="
	timingRun     = "run;dur="
)

// automaticLength is the length up to which net/http itself says the length of
// an answer that is written at once.
const automaticLength = 2048

// rawType is the content type that an output set's items have by themselves.
func rawType(sig *engine.Signature, set string) string {
	if i := sig.Output(set); i >= 0 && sig.Outputs[i].ContentType != "" {
		return sig.Outputs[i].ContentType
	}
	return typeBytes
}

// satisfiable refuses to run a function whose signature says that no answer can
// be in an accepted form.
func satisfiable(a accepted, sig *engine.Signature) error {
	if a == nil || a.choose("") != formNone {
		return nil
	}
	raw := make([]string, len(sig.Outputs))
	for i, p := range sig.Outputs {
		if raw[i] = rawType(sig, p.Name); a.rank(raw[i]) > 0 {
			return nil
		}
	}
	return notAcceptable(raw...)
}

// rawAnswer is the raw form of outputs.
type rawAnswer struct {
	exists  bool
	empty   bool // there is no item at all, and no stdout that could be one: 204
	set     string
	content []byte
}

// rawForm finds what the raw form of outputs is. A function with a set stdio
// that left no other items has stdout as its answer, written to or not; any
// other has one if there is exactly one item.
func rawForm(outputs []data.Set) rawAnswer {
	var only *data.Item
	var onlySet string
	var stdout []byte
	total, stdio, plain := 0, 0, true
	hasStdio := false
	for _, s := range outputs {
		total += len(s.Items)
		if len(s.Items) > 0 {
			only, onlySet = s.Items[0], s.Name
		}
		if s.Name != stdioSet {
			continue
		}
		hasStdio = true
		stdio = len(s.Items)
		for _, it := range s.Items {
			switch it.Name() {
			case stdoutItem:
				stdout = it.Bytes()
			case stderrItem:
			default:
				plain = false
			}
		}
	}
	switch {
	case hasStdio && stdio == total && plain && stdio <= 2:
		return rawAnswer{exists: true, set: stdioSet, content: stdout}
	case total == 1:
		return rawAnswer{exists: true, set: onlySet, content: only.Bytes()}
	case total == 0:
		return rawAnswer{exists: true, empty: true}
	default:
		return rawAnswer{}
	}
}

// writeAnswer answers with what an invocation left.
func (x *exchange) writeAnswer(a *dispatcher.Answer, sig *engine.Signature, accept accepted, cache *caching) error {
	raw := rawForm(a.Outputs)
	typ := ""
	if raw.exists {
		typ = rawType(sig, raw.set)
	}
	chosen := accept.choose(typ)
	if chosen == formNone && raw.empty {
		chosen = formRaw // nothing is of no type
	}
	if chosen == formNone {
		return notAcceptable(typ)
	}
	unchanged := x.cacheHeader(&a.From, chosen, cache)
	x.invocationHeader(a)
	switch {
	case unchanged:
		return x.writeUnchanged()
	case chosen == formRaw && raw.empty:
		return x.writeNothing()
	case chosen == formRaw:
		return x.writeRaw(raw.content, typ)
	case chosen == formJSON:
		x.w.Header()["Content-Type"] = valueJSON
		return x.writeStreamed(func(s *sink) { putJSON(s, a) })
	default:
		boundary := boundaryOf(a.Outputs)
		x.setHeader("Content-Type", slotType, typeMultipart+"; boundary="+boundary)
		return x.writeStreamed(func(s *sink) { putMultipart(s, a.Outputs, sig, boundary) })
	}
}

// notAcceptable lists the forms that there are, with the raw ones of the given
// types.
func notAcceptable(raw ...string) error {
	e := problem.New(problem.NotAcceptable, "none of the answer's forms is accepted")
	e.Declared = []string{typeJSON, typeMultipart}
	for _, typ := range raw {
		if typ != "" && !slices.Contains(e.Declared, typ) {
			e.Declared = append(e.Declared, typ)
		}
	}
	return e
}

// invocationHeader sets what all answers of invocations have.
func (x *exchange) invocationHeader(a *dispatcher.Answer) {
	var buf [128]byte
	b := append(buf[:0], timingQueue...)
	b = appendMilliseconds(b, a.Queue)
	b = append(append(b, ", "...), timingPrepare...)
	b = appendMilliseconds(b, a.Prepare)
	b = append(append(b, ", "...), timingRun...)
	b = appendMilliseconds(b, a.Run)
	timing := len(b)
	b = strconv.AppendInt(b, a.Usage.Fuel, 10)
	text := string(b)
	x.setHeader("Server-Timing", slotTiming, text[:timing])
	x.setHeader("Pappus-Fuel", slotFuel, text[timing:])
}

// appendMilliseconds writes a duration in milliseconds with three decimals.
func appendMilliseconds(b []byte, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(b, us/1000, 10)
	rest := us % 1000
	return append(b, '.', '0'+byte(rest/100), '0'+byte(rest/10%10), '0'+byte(rest%10))
}

// writeHeader begins an answer. What has no body is sent under the deadline that
// it sets; a body moves that along.
func (x *exchange) writeHeader(status int) {
	x.writeDeadline(time.Now().Add(x.policy.Grace))
	x.Response().WriteHeader(status)
}

// writeRaw answers with content alone, in one write if it is not large.
func (x *exchange) writeRaw(content []byte, contentType string) error {
	if contentType == typeBytes {
		x.w.Header()["Content-Type"] = valueBytes
	} else {
		x.setHeader("Content-Type", slotType, contentType)
	}
	if len(content) >= automaticLength {
		x.setHeader("Content-Length", slotLength, strconv.Itoa(len(content)))
	}
	x.writeHeader(http.StatusOK)
	x.sink.begin(x, false)
	x.sink.write(content)
	return x.sink.err
}

// writeStreamed answers with what put puts, which it asks for twice: for the
// length, and to write it.
func (x *exchange) writeStreamed(put func(*sink)) error {
	s := &x.sink
	s.begin(x, true)
	put(s)
	x.setHeader("Content-Length", slotLength, strconv.FormatInt(s.n, 10))
	x.writeHeader(http.StatusOK)
	s.begin(x, false)
	put(s)
	s.flush()
	return s.err
}

// putJSON writes {"outputs": {SET: [ITEM…]…}, "usage": {…}}.
func putJSON(s *sink, a *dispatcher.Answer) {
	s.text(`{"outputs":{`)
	for i, set := range a.Outputs {
		if i > 0 {
			s.text(",")
		}
		s.quoted(set.Name)
		s.text(":[")
		for j, it := range set.Items {
			if j > 0 {
				s.text(",")
			}
			s.text(`{"name":`)
			s.quoted(it.Name())
			s.text(`,"key":`)
			s.number(int64(it.Key()))
			s.text(`,"data":"`)
			s.base64(it.Bytes())
			s.text(`"}`)
		}
		s.text("]")
	}
	s.text(`},"usage":{"fuel":`)
	s.number(a.Usage.Fuel)
	s.text(`,"memory_pages":`)
	s.number(a.Usage.MemoryPages)
	s.text("}}\n")
}

// putMultipart writes a part for every item.
func putMultipart(s *sink, outputs []data.Set, sig *engine.Signature, boundary string) {
	for _, set := range outputs {
		typ := rawType(sig, set.Name)
		for _, it := range set.Items {
			s.text("--", boundary, "\r\nContent-Disposition: attachment; name=")
			s.quoted(set.Name)
			s.text("; filename=")
			s.quoted(it.Name())
			s.text("\r\n" + keyHeader + ": ")
			s.number(int64(it.Key()))
			s.text("\r\nContent-Type: ", typ, "\r\n\r\n")
			s.bytes(it.Bytes())
			s.text("\r\n")
		}
	}
	s.text("--", boundary, "--\r\n")
}

// boundaryOf makes a boundary that is the same for the same outputs and can't
// occur in them: they would have to hold a part of their own SHA-256.
func boundaryOf(outputs []data.Set) string {
	h := sha256.New()
	var n [20]byte
	for _, set := range outputs {
		binary.LittleEndian.PutUint64(n[0:], uint64(len(set.Items)))
		binary.LittleEndian.PutUint64(n[8:], uint64(len(set.Name)))
		h.Write(n[:16])
		h.Write([]byte(set.Name))
		for _, it := range set.Items {
			binary.LittleEndian.PutUint64(n[0:], uint64(it.Len()))
			binary.LittleEndian.PutUint64(n[8:], uint64(len(it.Name())))
			binary.LittleEndian.PutUint32(n[16:], it.Key())
			h.Write(n[:])
			h.Write([]byte(it.Name()))
			h.Write(it.Bytes())
		}
	}
	return "pappus-" + hex.EncodeToString(h.Sum(nil)[:16])
}
