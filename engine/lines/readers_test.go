package lines_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"pappus/engine/lines"
)

// busy has all readers read until they are let go.
func busy(t *testing.T, readers *lines.Readers) (release func()) {
	t.Helper()
	let := make(chan struct{})
	for range lines.MaxReaders {
		go func() {
			if err := readers.Once().Do(t.Context(), func() { <-let }); err != nil {
				t.Error(err)
			}
		}()
	}
	synctest.Wait()
	return func() { close(let) }
}

// No more tables are read at once than there are readers, and whoever waits for one
// of them can go away. Then the next that needs the table has it read.
func TestReadersAreWaitedForNoLongerThanTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readers := lines.NewReaders()
		release := busy(t, readers)
		table, read := readers.Once(), 0
		ended := make(chan error, 2)
		call := func(ctx context.Context) { ended <- table.Do(ctx, func() { read++ }) }

		first, leave := context.WithCancel(t.Context())
		second, leaveToo := context.WithCancel(t.Context())
		go call(first) // waits for a reader
		synctest.Wait()
		go call(second) // waits for the first
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		leaveToo()
		synctest.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("who waited for the one that waited: %v", err)
		}
		go call(t.Context())
		synctest.Wait()
		leave()
		synctest.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) || read != 0 {
			t.Errorf("who waited for a reader: %v, and it was read %d times", err, read)
		}
		release()
		if err := <-ended; err != nil || read != 1 {
			t.Errorf("who stayed: %v, and it was read %d times", err, read)
		}
		call(first) // there is nothing to wait for
		if err := <-ended; err != nil || read != 1 {
			t.Errorf("afterwards: %v, and it was read %d times", err, read)
		}
	})
}

// A table is read once, however many need it at the same time.
func TestReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, read := lines.NewReaders().Once(), 0
		let := make(chan struct{})
		const callers = 8
		ended := make(chan error, callers)
		for range callers {
			go func() {
				ended <- table.Do(t.Context(), func() {
					<-let
					read++
				})
			}()
		}
		synctest.Wait()
		close(let)
		for range callers {
			if err := <-ended; err != nil || read != 1 {
				t.Errorf("%v, and it was read %d times", err, read)
			}
		}
	})
}
