package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// PageSize is the unit in which memory grows, in bytes.
const PageSize = 64 << 10

// MaxPages is the largest memory, in pages.
const MaxPages = 65_535

// Limits bound what one run may take. Zero means "not given" in a manifest or
// a request, and is filled from the operator's defaults by Or; in limits that
// reach an engine only Fuel may be zero: no limit but the timeout.
type Limits struct {
	Memory  Bytes    `json:"memory,omitempty"`  // bytes of linear memory, rounded down to pages
	Stack   Bytes    `json:"stack,omitempty"`   // bytes charged for call frames
	Output  Bytes    `json:"output,omitempty"`  // bytes of all output items together, content and names
	Items   int      `json:"items,omitempty"`   // number of output items
	Fuel    int64    `json:"fuel,omitempty"`    // units of the fuel model; 0: no limit
	Timeout Duration `json:"timeout,omitempty"` // wall time from the first instruction, parked time included
}

// DefaultLimits are what a function gets that asks for nothing.
func DefaultLimits() Limits {
	return Limits{
		Memory:  128 << 20,
		Stack:   8 << 20,
		Output:  64 << 20,
		Items:   100_000,
		Timeout: Duration(10 * time.Second),
	}
}

// MaxLimits are the highest limits that a function may ask for unless the
// operator says otherwise.
func MaxLimits() Limits {
	return Limits{
		Memory:  MaxPages * PageSize,
		Stack:   64 << 20,
		Output:  1 << 30,
		Items:   1_000_000,
		Fuel:    math.MaxInt64,
		Timeout: Duration(15 * time.Minute),
	}
}

// Or returns l with everything that is zero taken from def.
func (l Limits) Or(def Limits) Limits {
	if l.Memory == 0 {
		l.Memory = def.Memory
	}
	if l.Stack == 0 {
		l.Stack = def.Stack
	}
	if l.Output == 0 {
		l.Output = def.Output
	}
	if l.Items == 0 {
		l.Items = def.Items
	}
	if l.Fuel == 0 {
		l.Fuel = def.Fuel
	}
	if l.Timeout == 0 {
		l.Timeout = def.Timeout
	}
	return l
}

// AtMost returns l with everything that is above maximum lowered to it. No fuel
// limit is above every one.
func (l Limits) AtMost(maximum Limits) Limits {
	l.Memory = min(l.Memory, maximum.Memory)
	l.Stack = min(l.Stack, maximum.Stack)
	l.Output = min(l.Output, maximum.Output)
	l.Items = min(l.Items, maximum.Items)
	if l.Fuel == 0 && maximum.Fuel != math.MaxInt64 {
		l.Fuel = maximum.Fuel
	}
	l.Fuel = min(l.Fuel, maximum.Fuel)
	l.Timeout = min(l.Timeout, maximum.Timeout)
	return l
}

// LimitNames lists the names that Set takes.
func LimitNames() []string { return []string{"memory", "stack", "output", "items", "fuel", "timeout"} }

// Set sets one limit from its text form: "64MiB" for memory, stack and output,
// a number for items and fuel, "2s" for timeout. Zero, which would mean "not
// given", is refused.
func (l *Limits) Set(name, value string) (err error) {
	var zero bool
	switch name {
	case "memory":
		l.Memory, err = ParseBytes(value)
		zero = l.Memory == 0
	case "stack":
		l.Stack, err = ParseBytes(value)
		zero = l.Stack == 0
	case "output":
		l.Output, err = ParseBytes(value)
		zero = l.Output == 0
	case "items":
		if l.Items, err = strconv.Atoi(value); err != nil || l.Items < 0 {
			err = fmt.Errorf("%.40q is not a number of items", value)
		}
		zero = l.Items == 0
	case "fuel":
		if l.Fuel, err = strconv.ParseInt(value, 10, 64); err != nil || l.Fuel < 0 {
			err = fmt.Errorf("%.40q is not a number of fuel units", value)
		}
		zero = l.Fuel == 0
	case "timeout":
		l.Timeout, err = ParseDuration(value)
		zero = l.Timeout == 0
	default:
		return fmt.Errorf("there is no limit %.40q; there are %s", name, strings.Join(LimitNames(), ", "))
	}
	if err == nil && zero {
		err = errors.New("it must be more than 0")
	}
	return err
}

// LimitError says that a limit can't be granted.
type LimitError struct {
	Limit  string // as in the manifest
	Reason string // what is wrong and what is possible
}

func (e *LimitError) Error() string { return "limit " + e.Limit + " " + e.Reason }

// Check returns a *LimitError for the first limit that is negative, above the
// maximum, or too small to be useful.
func (l Limits) Check(maximum Limits) error {
	for e := range l.Violations(maximum) {
		return e
	}
	return nil
}

// Violations yields what Check looks for, all of it.
func (l Limits) Violations(maximum Limits) iter.Seq[*LimitError] {
	return func(yield func(*LimitError) bool) {
		for _, c := range []struct {
			name         string
			value, limit int64
			text         func(int64) string
		}{
			{"memory", int64(l.Memory), int64(maximum.Memory), bytesText},
			{"stack", int64(l.Stack), int64(maximum.Stack), bytesText},
			{"output", int64(l.Output), int64(maximum.Output), bytesText},
			{"items", int64(l.Items), int64(maximum.Items), decimal},
			{"fuel", l.Fuel, maximum.Fuel, decimal},
			{"timeout", int64(l.Timeout), int64(maximum.Timeout), durationText},
		} {
			reason := ""
			switch {
			case c.value < 0:
				reason = "is negative: " + c.text(c.value)
			case c.limit > 0 && c.value > c.limit:
				reason = "is " + c.text(c.value) + "; the most that is allowed is " + c.text(c.limit)
			}
			if reason != "" && !yield(&LimitError{c.name, reason}) {
				return
			}
		}
		if l.Memory > 0 && l.Memory < PageSize && !yield(&LimitError{"memory", "is " + l.Memory.String() + "; the least is one page of 64KiB"}) {
			return
		}
		if l.Stack > 0 && l.Stack < minStack {
			yield(&LimitError{"stack", "is " + l.Stack.String() + "; the least is " + Bytes(minStack).String()})
		}
	}
}

// minStack holds some calls, in bytes: with less nothing could run.
const minStack = 4 << 10

func decimal(n int64) string      { return strconv.FormatInt(n, 10) }
func bytesText(n int64) string    { return Bytes(n).Long() }
func durationText(n int64) string { return Duration(n).String() }

// Bytes is a size whose text form is a number of bytes, or a whole number of
// KiB, MiB or GiB ("64MiB").
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseBytes reads "65536", "64KiB", "64MiB" or "1GiB". Negative and
// fractional numbers and decimal units are refused.
func ParseBytes(s string) (Bytes, error) {
	digits, unit := s, int64(1)
	for _, u := range byteUnits {
		if d, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = d, u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("size %.40q is not a number of bytes, KiB, MiB or GiB (as in 64MiB)", s)
	}
	if n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf("size %.40q is too large", s)
	}
	return Bytes(int64(n) * unit), nil
}

// String is the shortest exact form that ParseBytes reads.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if u.size > 1 && b != 0 && int64(b)%u.size == 0 {
			return decimal(int64(b)/u.size) + u.suffix
		}
	}
	return decimal(int64(b))
}

// Long is String for people, with two units where one would have many digits:
// "4095MiB 960KiB". ParseBytes does not read that.
func (b Bytes) Long() string {
	const many = 100_000 << 10
	if b < many || b%(1<<10) != 0 || b%(1<<20) == 0 {
		return b.String()
	}
	return (b >> 20 << 20).String() + " " + (b % (1 << 20)).String()
}

// MarshalJSON gives the text form as a string.
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(b.String()) }

// UnmarshalJSON reads the text form, or a number of bytes.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	s, err := stringOrNumber(text)
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	*b, err = ParseBytes(s)
	return err
}

// Duration is a time.Duration whose text form is that of time.ParseDuration:
// "2s", "500ms".
type Duration time.Duration

// ParseDuration reads what time.ParseDuration reads, but nothing negative.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %.40q is not a number with a unit (as in 2s or 500ms)", s)
	}
	return Duration(d), nil
}

// String is the form of time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON gives the text form as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the text form.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errors.New(`duration is not a string (as in "2s")`)
	}
	v, err := ParseDuration(s)
	if err != nil {
		return err
	}
	*d = v
	return nil
}

func stringOrNumber(text []byte) (string, error) {
	var s string
	if json.Unmarshal(text, &s) == nil {
		return s, nil
	}
	var n json.Number
	if err := json.Unmarshal(text, &n); err != nil {
		return "", errors.New("neither a string nor a number")
	}
	return n.String(), nil
}
