package server

import (
	"log/slog"
	"strings"

	"pappus/dispatcher"
	"pappus/engine"
)

// policy is a configuration in force. An exchange takes the one of the moment
// when it begins and keeps it to its end. It is never changed, only replaced.
type policy struct {
	Config
	guard guard
}

// newPolicy makes what holds under a configuration, in which body limits are
// lowered to what the memory for bodies has room for.
func newPolicy(cfg Config, memory *dispatcher.Budget, log *slog.Logger) (*policy, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	for _, limit := range []*int64{&cfg.BodyLimit, &cfg.CodeLimit} {
		// More could never be had, so it is refused at once.
		if largest := memory.Limit(); *limit > largest {
			log.Warn("bodies are limited to what the memory budget has room for", "wanted", engine.Bytes(*limit).String(), "limit", engine.Bytes(largest).String())
			*limit = largest
		}
	}
	p := &policy{Config: cfg, guard: guard{remote: cfg.AllowRemote, origins: cfg.Origins}}
	for _, h := range cfg.Hosts {
		p.guard.hosts = append(p.guard.hosts, strings.ToLower(h))
	}
	return p, nil
}

// Reload puts another configuration in force for requests that come from now
// on; those that have begun keep theirs. Of cfg it takes Hosts, Origins, the
// limits of bodies and items, Grace, Rate, MemoryWait, Shutdown and AccessLog;
// the other fields, which belong to the listener and its connections, stay as
// they were. The slices of cfg must not be changed afterwards. After an error
// everything is as before.
func (s *Server) Reload(cfg Config) error {
	next := s.policy.Load().Config
	next.Hosts, next.Origins = cfg.Hosts, cfg.Origins
	next.BodyLimit, next.CodeLimit, next.ItemLimit = cfg.BodyLimit, cfg.CodeLimit, cfg.ItemLimit
	next.Grace, next.Rate, next.MemoryWait, next.Shutdown = cfg.Grace, cfg.Rate, cfg.MemoryWait, cfg.Shutdown
	next.AccessLog = cfg.AccessLog
	p, err := newPolicy(next, s.memory, s.log)
	if err != nil {
		return err
	}
	s.policy.Store(p)
	return nil
}
