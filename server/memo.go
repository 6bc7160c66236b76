package server

import (
	"net/http"

	"pappus/dispatcher/memo"
	"pappus/server/api"
)

// getMemo answers with figures of what is remembered.
func (s *Server) getMemo(x *exchange) error {
	stats, functions := s.dispatcher.MemoStats(tenant)
	if stats == nil {
		return x.writeJSON(http.StatusOK, api.Memo{Functions: []api.MemoFunction{}})
	}
	body := api.Memo{
		Enabled: true, Entries: stats.Entries, Bytes: stats.Bytes, Evicted: stats.Evicted, Calls: describeCalls(&stats.Counts),
		Disk: api.MemoDisk{
			Enabled: stats.Disk.Enabled, Entries: stats.Disk.Entries, Bytes: stats.Disk.Bytes,
			Evicted: stats.Disk.Evicted, Damaged: stats.Disk.Damaged, Dropped: stats.Disk.Dropped,
		},
		Verified: stats.Verified, Differences: stats.Differences,
		Functions: make([]api.MemoFunction, len(functions)),
	}
	for i, f := range functions {
		body.Functions[i] = api.MemoFunction{Name: f.Function, Calls: describeCalls(&f.Counts), LargeInputs: f.Keyed}
	}
	return x.writeJSON(http.StatusOK, body)
}

func describeCalls(c *memo.Counts) api.MemoCalls {
	return api.MemoCalls{
		Hits: c.Hits, DiskHits: c.DiskHits, Misses: c.Misses, Collapsed: c.Collapsed, Negative: c.Negative,
		Stored: c.Stored, Rejected: c.Rejected, Unkeyed: c.Unkeyed, SavedMs: milliseconds(c.SavedTime), SavedFuel: c.SavedFuel,
	}
}

// purgeMemo forgets all that is remembered.
func (s *Server) purgeMemo(x *exchange) error {
	if err := s.dispatcher.PurgeMemo(x.r.Context(), tenant, ""); err != nil {
		return err
	}
	return x.writeNothing()
}

// purgeMemoOf forgets what is remembered of a function or composition.
func (s *Server) purgeMemoOf(x *exchange) error {
	name, err := x.name()
	if err != nil {
		return err
	}
	if err := s.dispatcher.PurgeMemo(x.r.Context(), tenant, name); err != nil {
		return err
	}
	return x.writeNothing()
}
