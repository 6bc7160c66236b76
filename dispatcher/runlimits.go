package dispatcher

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pappus/engine"
)

// RunLimits bound one run of a composition. Zero values stand for the defaults.
type RunLimits struct {
	Applications int           // of the graph with all that is nested, as often as it stands there; default 10,000
	Instances    int           // of one application; default 10,000
	Items        int           // of one set; default 1,000,000
	Bytes        int64         // that outputs hold which are not used up; default half of the memory for contexts
	Nesting      int           // compositions within one another; default 16
	Time         time.Duration // from beginning to end; default 15 min
}

func (l RunLimits) withDefaults(memory int64) RunLimits {
	l.Bytes = orDefault(l.Bytes, (memory-memory/bodyShare)/2)
	l.Applications = orDefault(l.Applications, 10_000)
	l.Instances = orDefault(l.Instances, 10_000)
	l.Items = orDefault(l.Items, 1_000_000)
	l.Nesting = orDefault(l.Nesting, 16)
	l.Time = orDefault(l.Time, 15*time.Minute)
	return l
}

// Each calls f for each of the limits, in a fixed order, with its name and value
// as Set reads it.
func (l RunLimits) Each(f func(name, value string)) {
	f("applications", strconv.Itoa(l.Applications))
	f("instances", strconv.Itoa(l.Instances))
	f("items", strconv.Itoa(l.Items))
	f("bytes", engine.Bytes(l.Bytes).String())
	f("nesting", strconv.Itoa(l.Nesting))
	f("time", engine.Duration(l.Time).String())
}

// heldMore says that outputs of a run hold more bytes than they may.
func heldMore(limit int64) string {
	size := engine.Bytes(limit).Long()
	if strings.Trim(size, "0123456789") == "" {
		size += " bytes"
	}
	return fmt.Sprintf("outputs that are not used up yet hold more than %s", size)
}

// mostNesting is the most that compositions may nest: deeper ones would not be
// read by anybody, and every level takes a stack frame or two.
const mostNesting = 100

// Set sets the limit of that name to what text says: a number, a size or a
// duration, above 0.
func (l *RunLimits) Set(name, text string) error {
	number := func(to *int, most int) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("%.40q is not a number from 1 to %d", text, most)
		}
		*to = n
		return nil
	}
	const most = 100_000_000
	switch name {
	case "applications":
		return number(&l.Applications, most)
	case "instances":
		return number(&l.Instances, most)
	case "items":
		return number(&l.Items, most)
	case "nesting":
		return number(&l.Nesting, mostNesting)
	case "bytes":
		b, err := engine.ParseBytes(text)
		if err != nil || b == 0 {
			return fmt.Errorf("%.40q is not a size above 0, like 64MiB", text)
		}
		l.Bytes = int64(b)
		return nil
	case "time":
		d, err := engine.ParseDuration(text)
		if err != nil {
			return err
		}
		if d == 0 {
			return errors.New("0 is no time")
		}
		l.Time = time.Duration(d)
		return nil
	default:
		var names []string
		l.Each(func(name, _ string) { names = append(names, name) })
		return fmt.Errorf("there is no limit of runs called %.40q; there are %s", name, strings.Join(names, ", "))
	}
}
