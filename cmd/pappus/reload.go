package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"pappus/cmd/pappus/internal/settings"
	"pappus/dispatcher"
	"pappus/server"
)

// reloader has a running server take another configuration. It is used by one
// goroutine.
type reloader struct {
	config     *configuration
	running    *serving
	level      *slog.LevelVar
	log        *slog.Logger
	dispatcher reloadable
	server     interface{ Reload(server.Config) error }
}

// reloadable is what a reloader needs of a dispatcher.
type reloadable interface {
	Reload(cfg dispatcher.Config) error
	Calls() int64
}

var (
	_ reloadable                               = (*dispatcher.Dispatcher)(nil)
	_ interface{ Reload(server.Config) error } = (*server.Server)(nil)
)

// stopping logs that the server was asked to end, and what it waits for.
func (r *reloader) stopping(ctx context.Context) {
	most := r.running.server.Shutdown
	r.log.LogAttrs(ctx, slog.LevelInfo, "stopping: what runs may finish",
		slog.Int64("running", r.dispatcher.Calls()), slog.Duration("at_most", most), slog.Time("until", time.Now().Add(most)))
}

// watch reads the configuration again at every signal, until ctx ends.
func (r *reloader) watch(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
			r.again(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// again reads the configuration and puts in force what can change. If anything
// is wrong with it, nothing changes.
func (r *reloader) again(ctx context.Context) {
	if r.config.file == "" && r.running.certificate == nil && !r.running.outside.hasFiles() {
		r.log.LogAttrs(ctx, slog.LevelWarn, "there is no configuration to read again: the server was started without --config")
		return
	}
	if err := r.reload(ctx); err != nil {
		for _, reason := range reasons(err) {
			r.log.LogAttrs(ctx, slog.LevelError, "the configuration is not changed", slog.String("file", r.config.file), slog.String("reason", reason))
		}
	}
}

// reasons are the mistakes that an error tells of.
func reasons(err error) (all []string) {
	var mistakes settings.Errors
	if !errors.As(err, &mistakes) {
		return []string{err.Error()}
	}
	for _, m := range mistakes {
		all = append(all, m.Error())
	}
	return all
}

func (r *reloader) reload(ctx context.Context) error {
	wanted, err := r.config.read()
	if err != nil {
		return err
	}
	var pair *tls.Certificate
	if r.running.certificate != nil {
		if pair, err = readCertificate(r.running.tlsCert, r.running.tlsKey); err != nil {
			return err
		}
	}
	changes := r.running.settings.Changes(wanted.settings)

	// It must be good for a server that starts with it, and for this one, in
	// which some settings stay as they are.
	next := newServing()
	if err := next.settings.Merge(r.running.settings, wanted.settings); err != nil {
		return err
	}
	for _, s := range []*serving{wanted, next} {
		s.findOut()
		if err := s.check(); err != nil {
			return err
		}
	}
	next.outside.running = r.running.outside.running
	takeRules, err := next.outside.changed()
	if err != nil {
		return err
	}
	serverConfig, dispatcherConfig := next.parts()
	if err := r.dispatcher.Reload(dispatcherConfig); err != nil {
		return err
	}
	if err := r.server.Reload(serverConfig); err != nil { // it has been checked
		return fmt.Errorf("only a part of it was taken; start the server again: %w", err)
	}
	if takeRules() {
		r.log.LogAttrs(ctx, slog.LevelInfo, "the authorities of I/O functions are replaced", slog.String("file", next.outside.caBundle))
	}
	if next.certificate = r.running.certificate; next.certificate != nil {
		if before := next.certificate.current.Swap(pair); !bytes.Equal(before.Certificate[0], pair.Certificate[0]) {
			r.tellCertificate(ctx, pair)
		}
	}
	r.running = next
	r.level.Set(min(r.level.Level(), next.level())) // so that the change is told if either level wants it
	r.tell(ctx, changes)
	r.level.Set(next.level())
	return nil
}

// tellCertificate logs that there is another certificate.
func (r *reloader) tellCertificate(ctx context.Context, pair *tls.Certificate) {
	attrs := []slog.Attr{slog.String("file", r.running.tlsCert)}
	if leaf := pair.Leaf; leaf != nil {
		names := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		attrs = append(attrs, slog.String("names", strings.Join(names, ",")), slog.Time("expires", leaf.NotAfter))
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "the certificate is replaced", attrs...)
}

// tell logs what changed, and what would with a restart.
func (r *reloader) tell(ctx context.Context, changes []settings.Change) {
	taken := 0
	for _, c := range changes {
		if c.Setting.Live {
			taken++
			r.log.LogAttrs(ctx, slog.LevelInfo, "a setting is changed",
				slog.String("setting", c.Setting.Name), slog.String("old", c.Old), slog.String("new", c.New), slog.String("from", c.Setting.Place().String()))
			continue
		}
		r.log.LogAttrs(ctx, slog.LevelWarn, "a setting needs a restart to change",
			slog.String("setting", c.Setting.Name), slog.String("running", c.Old), slog.String("wanted", c.New), slog.String("from", c.Setting.Place().String()))
	}
	r.log.LogAttrs(ctx, slog.LevelInfo, "the configuration was read again",
		slog.String("file", r.config.file), slog.Int("changed", taken), slog.Int("need_restart", len(changes)-taken))
}
