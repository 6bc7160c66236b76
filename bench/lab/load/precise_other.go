//go:build !linux

package load

import (
	"context"
	"time"
)

// Precise is a timer where there is nothing better.
func Precise(ctx context.Context, until time.Time) error { return Timer(ctx, until) }
