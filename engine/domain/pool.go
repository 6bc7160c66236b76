package domain

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reservation classes: the smallest holds 1 MiB, each next one four times as
// much, up to the 4 GiB that a 32-bit memory can reach. A pool by reservation
// and not by exact size does not miss when a function grows its memory.
const (
	smallestClass = 1 << 20
	classFactor   = 4
	classes       = 7
)

// ErrExhausted is returned by Get when the domain holds as many regions as it
// may and all are in use.
var ErrExhausted = errors.New("memory domain is exhausted")

// ErrTooLarge is returned by Get for more than the largest class.
var ErrTooLarge = errors.New("larger than the largest region")

// Config bounds a pool.
type Config struct {
	Regions  int   // regions mapped at once, in use and idle; 0: 4096
	IdleWarm int64 // resident bytes that idle regions may keep; 0: 256 MiB
}

// Pool hands out regions and takes them back. It is safe for concurrent use.
type Pool struct {
	config Config

	mu     sync.Mutex
	idle   [2 * classes][]idleRegion // by class, those with huge pages in the second half
	mapped int                       // regions in use and idle
	warm   int64                     // bytes that idle regions keep resident
	closed bool

	dropping sync.Mutex // see drop
}

type idleRegion struct {
	region *Region
	warm   int64
}

// Stats are counts of one moment.
type Stats struct {
	Mapped   int   // regions in use and idle
	Idle     int   // regions that wait for an owner
	IdleWarm int64 // bytes that those keep resident, at most
}

// NewPool makes an empty pool.
func NewPool(config Config) (*Pool, error) {
	if config.Regions == 0 {
		config.Regions = 4096
	}
	if config.IdleWarm == 0 {
		config.IdleWarm = 256 << 20
	}
	if p := os.Getpagesize(); p != PageSize {
		return nil, fmt.Errorf("memory domain: pages of %d bytes are not supported, only %d", p, PageSize)
	}
	return &Pool{config: config}, nil
}

// Get returns a region of at least size bytes, all zero. With huge the system
// is asked to use huge pages: good for who fills megabytes, bad for all others.
// It fails with ErrTooLarge, ErrExhausted, or the system's error.
func (p *Pool) Get(size int64, huge bool) (*Region, error) {
	class, reservation := 0, int64(smallestClass)
	for reservation < size {
		class, reservation = class+1, reservation*classFactor
	}
	if class >= classes {
		return nil, fmt.Errorf("region of %d bytes: %w", size, ErrTooLarge)
	}
	if huge {
		class += classes
	}
	if r := p.takeIdle(class); r != nil {
		return r, nil
	}
	if err := p.admit(); err != nil {
		return nil, err
	}
	b, err := reserve(reservation, huge)
	if err != nil {
		p.mu.Lock()
		p.mapped--
		p.mu.Unlock()
		return nil, err
	}
	return &Region{pool: p, bytes: b, class: class, huge: huge}, nil
}

func (p *Pool) takeIdle(class int) *Region {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[class]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	list[len(list)-1] = idleRegion{}
	p.idle[class] = list[:len(list)-1]
	p.warm -= last.warm
	return last.region
}

// admit counts one more mapped region, if need be in place of an idle one.
func (p *Pool) admit() error {
	p.mu.Lock()
	var victim *Region
	if p.mapped >= p.config.Regions {
		for class := range p.idle {
			if list := p.idle[class]; len(list) > 0 {
				victim = list[0].region
				p.warm -= list[0].warm
				p.idle[class] = append(list[:0], list[1:]...)
				break
			}
		}
		if victim == nil {
			p.mu.Unlock()
			return fmt.Errorf("%w: %d regions are in use", ErrExhausted, p.config.Regions)
		}
		p.mapped--
	}
	p.mapped++
	p.mu.Unlock()
	if victim != nil {
		return unmap(victim)
	}
	return nil
}

// Put takes a region back whose first used bytes may have been written.
// Sanitize says what warm means; a region whose warm bytes are more than idle
// regions may keep is emptied instead. The caller must not use the region again.
func (p *Pool) Put(r *Region, used, warm int64) error {
	warm = min(warm, roundUp(used))
	if r.image != nil || r.huge {
		warm = 0 // most of it is not resident then, or 2 MiB at a time
	}
	p.mu.Lock()
	if p.warm+warm > p.config.IdleWarm {
		warm = 0
	}
	p.warm += warm
	p.mu.Unlock()

	err := r.unmapImage()
	if err == nil {
		err = r.Sanitize(used, warm)
	}
	p.mu.Lock()
	if err == nil && !p.closed {
		p.idle[r.class] = append(p.idle[r.class], idleRegion{r, warm})
		p.mu.Unlock()
		return nil
	}
	// A region that could not be sanitised is never handed out again.
	p.warm -= warm
	p.mapped--
	p.mu.Unlock()
	return errors.Join(err, unmap(r))
}

// drop gives pages back to the system. Two threads that do so in one address
// space at the same moment make the system flush the translations of all
// processors, which takes ten times as long as the rest. So they go one after
// the other, if the other is quick: it may have gigabytes to drop.
func (p *Pool) drop(b []byte) error {
	const patience = 200 // about a microsecond
	alone := p.dropping.TryLock()
	for range patience {
		if alone {
			break
		}
		alone = p.dropping.TryLock()
	}
	err := unix.Madvise(b, unix.MADV_DONTNEED)
	if alone {
		p.dropping.Unlock()
	}
	if err != nil {
		return fmt.Errorf("give back %d bytes of a region: %w", len(b), err)
	}
	return nil
}

// Stats returns the counts of this moment.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Mapped: p.mapped, IdleWarm: p.warm}
	for _, list := range p.idle {
		s.Idle += len(list)
	}
	return s
}

// Close unmaps idle regions; those in use are unmapped when they are put back.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var idle []*Region
	for class, list := range p.idle {
		for _, i := range list {
			idle = append(idle, i.region)
		}
		p.idle[class] = nil
	}
	p.mapped -= len(idle)
	p.warm = 0
	p.mu.Unlock()
	var errs []error
	for _, r := range idle {
		errs = append(errs, unmap(r))
	}
	return errors.Join(errs...)
}

func unmap(r *Region) error {
	b := r.bytes
	r.bytes = nil
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))); err != nil {
		return fmt.Errorf("unmap a region: %w", err)
	}
	return nil
}
