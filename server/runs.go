package server

import (
	"net/http"
	"strings"
	"time"

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
	return x.writeJSON(http.StatusOK, body)
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
	return x.writeJSON(http.StatusOK, run)
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
