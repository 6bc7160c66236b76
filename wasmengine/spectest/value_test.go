package spectest

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// value is an argument or an expected result as the scripts write it.
type value struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"` // v128 only
	Value json.RawMessage `json:"value"`     // a string, or one for each lane; nothing: any reference
}

// numbers are the lanes as they are written, and the bits of each.
func (v value) numbers() (list []string, width int, err error) {
	shape := v.Type
	if v.Type == "v128" {
		err = json.Unmarshal(v.Value, &list)
		shape = v.Lane
	} else {
		list = make([]string, 1)
		err = json.Unmarshal(v.Value, &list[0])
	}
	if err != nil {
		return nil, 0, fmt.Errorf("value %s of type %s: %w", v.Value, v.Type, err)
	}
	switch shape {
	case "i8":
		width = 8
	case "i16":
		width = 16
	case "i32", "f32":
		width = 32
	case "i64", "f64", "externref", "funcref":
		width = 64
	}
	if size := len(list) * width; size == 0 || size > 64 && size != 128 {
		return nil, 0, fmt.Errorf("%d lanes of %q", len(list), shape)
	}
	return list, width, nil
}

// slots is how many 64-bit words the value has in wazero's calls.
func (v value) slots() int {
	if v.Type == "v128" {
		return 2
	}
	return 1
}

// words are the value as an argument.
func (v value) words() ([]uint64, error) {
	list, width, err := v.numbers()
	if err != nil {
		return nil, err
	}
	words := make([]uint64, v.slots())
	for i, s := range list {
		n, err := v.parse(s, width)
		if err != nil {
			return nil, err
		}
		words[i*width/64] |= n << (i * width % 64)
	}
	return words, nil
}

// parse reads one number. A reference of the host is its number plus one,
// since wazero takes 0 for null.
func (v value) parse(s string, width int) (uint64, error) {
	switch {
	case s == "null":
		return 0, nil
	case v.Type == "externref":
		n, err := strconv.ParseUint(s, 10, 32)
		return n + 1, err
	}
	if n, err := strconv.ParseInt(s, 10, width); err == nil && n < 0 {
		return uint64(n) & (^uint64(0) >> (64 - width)), nil
	}
	return strconv.ParseUint(s, 10, width)
}

// matches compares a result with what is expected.
func (v value) matches(words []uint64) error {
	if v.Value == nil && (v.Type == "funcref" || v.Type == "externref") {
		return nil // the script does not say which
	}
	list, width, err := v.numbers()
	if err != nil {
		return err
	}
	for i, s := range list {
		got := words[i*width/64] >> (i * width % 64) & (^uint64(0) >> (64 - width))
		var ok bool
		quiet := uint64(0x7fc0_0000) // exponent and the first bit of the fraction
		if width == 64 {
			quiet = 0x7ff8_0000_0000_0000
		}
		switch s {
		case "nan:canonical":
			ok = got&^(1<<(width-1)) == quiet
		case "nan:arithmetic":
			ok = got&quiet == quiet
		default:
			want, err := v.parse(s, width)
			if err != nil {
				return err
			}
			ok = got == want
		}
		if !ok {
			return fmt.Errorf("lane %d of %s is %#x, want %s", i, v.Type, got, s)
		}
	}
	return nil
}
