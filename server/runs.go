package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"pappus/dispatcher"
	"pappus/server/api"
	"pappus/server/problem"
)

// listRuns answers with a page of the runs whose records are kept, without what
// happened in them.
func (s *Server) listRuns(x *exchange) error {
	q, err := parsePageQuery(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if q.cursor != "" && !isRunID(q.cursor) {
		return badParameter("cursor", "is not one that a list returned")
	}
	records := s.dispatcher.Runs(tenant)
	if q.cursor != "" {
		records = after(records, q.cursor)
	}
	body := api.RunPage{Items: make([]api.Run, 0, min(len(records), q.limit))}
	for _, r := range records[:min(len(records), q.limit)] {
		body.Items = append(body.Items, describeRun(r))
	}
	if len(records) > q.limit {
		body.Next = records[q.limit-1].ID
	}
	return x.writeCharged(body)
}

// after is the part of a list that comes after a run. Records are dropped from
// the end, so that nothing does if the run is not there any more.
func after(records []*dispatcher.Record, id string) []*dispatcher.Record {
	for i, r := range records {
		if r.ID == id {
			return records[i+1:]
		}
	}
	return nil
}

// isRunID reports whether a text could be one.
func isRunID(text string) bool {
	const length = 26
	return len(text) == length && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// getRun answers with the record of a run.
func (s *Server) getRun(x *exchange) error {
	id := x.param("id")
	r := s.dispatcher.Run(tenant, id)
	if r == nil {
		return problem.New(problem.UnknownRun, "no record of a run "+quote(id)+" is kept")
	}
	// It is much larger than the record, and a client that reads slowly holds it.
	var err error
	if x.memory, err = s.memory.Reserve(x.r.Context(), answerBytes(r)); err != nil {
		return err
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(runDocument(r)); err != nil {
		return err
	}
	x.memory.Shrink(int64(body.Cap()))
	return x.writeBody(http.StatusOK, body.Bytes())
}

// runDocument makes the JSON of a run with what happened in it.
func runDocument(r *dispatcher.Record) api.Run {
	run := describeRun(r)
	run.Dropped = r.Dropped
	run.Applications = make([]api.RunApplication, len(r.Applications))
	for i, a := range r.Applications {
		instances := make([]api.RunInstance, len(a.Instances))
		for j, in := range a.Instances {
			instances[j] = api.RunInstance{
				Number: in.Number, QueuedMs: milliseconds(in.Queued), StartedMs: milliseconds(in.Started), EndedMs: milliseconds(in.Ended),
				InBytes: in.In, OutBytes: in.Out, Fuel: in.Fuel, Item: in.Item, Fault: string(in.Fault), Engine: in.Engine, Remembered: string(in.From),
			}
			if in.Requests != nil {
				instances[j].Requests, instances[j].DroppedRequests = describeRequests(in.Requests.List), in.Requests.Dropped
			}
		}
		run.Applications[i] = api.RunApplication{Name: a.Name, Callee: a.Callee, Instances: instances}
	}
	return run
}

// What an answer with a record takes while it is made, for itself, for each
// application, instance and request besides their texts, and how often its JSON is
// there: the encoder's buffer may be twice as large as what it holds.
const (
	runBytes     = 4 << 10
	elementBytes = 1 << 10
	jsonCopies   = 3
)

// answerBytes bounds what an answer with a record takes in memory while it is made.
func answerBytes(r *dispatcher.Record) int64 {
	elements, text := 0, escapedLength(r.Composition)
	for _, a := range r.Applications {
		elements += 1 + len(a.Instances)
		text += escapedLength(a.Name) + escapedLength(a.Callee)
		for _, in := range a.Instances {
			text += escapedLength(in.Item)
			if in.Requests != nil {
				elements += len(in.Requests.List)
				for i := range in.Requests.List {
					text += escapedLength(in.Requests.List[i].Method) + escapedLength(in.Requests.List[i].Target)
				}
			}
		}
	}
	return runBytes + int64(elements)*elementBytes + int64(text)*jsonCopies
}

// escapedLength bounds the length of a text in JSON.
func escapedLength(text string) int {
	n := len(text)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\' || c >= utf8.RuneSelf: // U+2028 takes three bytes, and six in JSON
			n++
		case c < ' ' || c == '<' || c == '>' || c == '&':
			n += len(`\u003c`) - 1
		}
	}
	return n
}

// describeRequests makes the JSON of what an I/O function had others do.
func describeRequests(list []dispatcher.RequestRecord) []api.RunRequest {
	requests := make([]api.RunRequest, len(list))
	for i := range list {
		r := &list[i]
		requests[i] = api.RunRequest{
			Method: r.Method, Target: r.Target, StartedMs: milliseconds(r.Started), EndedMs: milliseconds(r.Ended),
			SentBytes: r.Sent, ReceivedBytes: r.Received, Status: r.Status, Attempts: r.Attempts, Cache: string(r.Cache), Fault: string(r.Fault),
		}
		if r.Run != nil {
			requests[i].Run = r.Run.ID
		}
	}
	return requests
}

// describeRun makes a run's JSON, without its applications.
func describeRun(r *dispatcher.Record) api.Run {
	run := api.Run{
		ID: r.ID, Composition: r.Composition, Parallelism: r.Parallelism, Began: r.Began, Ended: r.Ended,
		Usage: api.Usage{Fuel: r.Usage.Fuel, MemoryPages: r.Usage.MemoryPages},
	}
	if r.Err != nil {
		run.Fault = string(toProblem(r.Err).Code())
	}
	return run
}

// milliseconds is a duration in them, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
