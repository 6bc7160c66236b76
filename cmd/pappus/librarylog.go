package main

import (
	"bytes"
	"context"
	stdlog "log" //nolint:depguard // it is taken away from libraries here
	"log/slog"
	"strings"
)

// libraryLog is where libraries write that know no other log than the process's: lines
// for whoever looks for errors, as often as servers that functions ask want them to. So
// they have no text of others, which libraries put in quotes.
type libraryLog struct{ log *slog.Logger }

// takeLibraryLog has libraries write there until the returned function is called.
func takeLibraryLog(log *slog.Logger) (restore func()) {
	before, flags := stdlog.Writer(), stdlog.Flags()
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{log})
	return func() {
		stdlog.SetOutput(before)
		stdlog.SetFlags(flags)
	}
}

func (l libraryLog) Write(line []byte) (int, error) {
	const most = 200
	ctx := context.Background()
	if l.log.Enabled(ctx, slog.LevelDebug) {
		said, _, _ := bytes.Cut(line[:min(len(line), most)], []byte(`"`))
		l.log.LogAttrs(ctx, slog.LevelDebug, "a library has something to say", slog.String("what", strings.ToValidUTF8(string(bytes.TrimSpace(said)), "")))
	}
	return len(line), nil
}
