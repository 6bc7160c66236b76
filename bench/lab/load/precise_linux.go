package load

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Precise waits by the system. The runtime's timers share its wait for the
// network, in whole milliseconds, and are late by up to one. It keeps one of the runtime's processors (GOMAXPROCS) busy with
// waiting, so there must be two.
func Precise(ctx context.Context, until time.Time) error {
	const look = 5 * time.Millisecond // how long it may take until the context's end is seen
	for {
		left := time.Until(until)
		if left <= 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		wait := unix.NsecToTimespec(int64(min(left, look)))
		if err := unix.Nanosleep(&wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
