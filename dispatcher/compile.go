package dispatcher

import (
	"fmt"
	"sync"
)

// compilePool runs flights on a bounded number of goroutines, which end when
// there is nothing to do. Those that wait are served fairly between tenants.
type compilePool struct {
	workers, most int

	mu     sync.Mutex
	active int
	queue  fairQueue[*flight]
	work   sync.WaitGroup
}

// submit has f run soon, or fails with an overload fault.
func (c *compilePool) submit(f *flight) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active < c.workers {
		c.active++
		c.work.Go(func() { c.run(f) })
		return nil
	}
	if c.queue.length >= c.most {
		return overload(fmt.Sprintf("%d functions already wait to be compiled; try again later", c.most), nil)
	}
	f.place.value = f
	c.queue.push(callsOf(f.key.tenant), &f.place)
	return nil
}

// withdraw takes f out of the queue and reports whether it was there.
func (c *compilePool) withdraw(f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.remove(&f.place)
}

// run runs f and then whatever waits.
func (c *compilePool) run(f *flight) {
	for f != nil {
		f.run()
		f = c.next()
	}
}

func (c *compilePool) next() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.queue.pop(); p != nil {
		return p.value
	}
	c.active--
	return nil
}

// counts says how many flights run and wait.
func (c *compilePool) counts() (active, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active, c.queue.length
}
