package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks of the system's clock a second, in which /proc counts: 100 on every
// machine that Linux runs Go on.
const ticks = 100

var errForm = errors.New("not as expected")

// CPU is the time that processors spent on a process and its descendants, those
// included that have ended and were waited for.
func CPU(pid int) (time.Duration, error) {
	var sum int64
	for _, p := range tree(pid) {
		t, err := cpu(p)
		if err != nil {
			if p != pid {
				continue // it has ended meanwhile
			}
			return 0, err
		}
		sum += t
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// cpu is a process's ticks with those of the children that it waited for.
func cpu(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/stat", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	// The program's name is in brackets and may have any character.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const utime, cutime = 11, 14 // user, system, and the same of the children, behind the name
	if len(fields) < cutime+1 {
		return 0, fmt.Errorf("%s: %w", name, errForm)
	}
	var sum int64
	for _, f := range fields[utime : cutime+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += n
	}
	return sum, nil
}

// Memory is what a process and its descendants have resident, in bytes; what
// several share is counted once in all (the proportional set size).
func Memory(pid int) (int64, error) {
	var sum int64
	for _, p := range tree(pid) {
		m, err := memory(p)
		if err != nil {
			if p != pid {
				continue // it has ended meanwhile
			}
			return 0, err
		}
		sum += m
	}
	return sum, nil
}

func memory(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "Pss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 48)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: %w", name, errForm)
}

// Peak looks at the memory again and again until ctx ends, and returns the most
// that it saw, which is not less than what there is at the beginning.
func Peak(ctx context.Context, pid int, every time.Duration) (int64, error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var most int64
	for {
		m, err := Memory(pid)
		if err != nil {
			return most, err
		}
		most = max(most, m)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return most, nil
		}
	}
}

// tree is a process with its descendants.
func tree(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", all[i]))
		if err != nil {
			continue // it has ended
		}
		for _, thread := range threads {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", all[i], thread.Name()))
			if err != nil {
				continue
			}
			for _, field := range strings.Fields(string(b)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}
