package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The encoding, version 1. All numbers are little-endian and of fixed width,
// so a value has one spelling and equal bytes mean equal sets:
//
//	magic    4 bytes "PSET"
//	version  u32 = 1
//	sets     u32
//	per set:   name u32 length + bytes, items u32
//	per item:  name u32 length + bytes, key u32, content u64 length + bytes
//
// Sets stand in the order given and have different names; the items of a set
// stand in the order of their keys. Nothing follows the last item.
const (
	encodingMagic   = "PSET"
	encodingVersion = 1

	setHeader  = 4 + 4     // lengths around a set's name
	itemHeader = 4 + 4 + 8 // lengths and key around an item's name and content
)

// ErrEncoding is what every error of Encode and Decode matches.
var ErrEncoding = errors.New("not a canonical encoding of sets")

// AppendEncoding appends the canonical encoding of sets to b. It fails, leaving b's
// contents alone, when a name is not legal, two sets have one name, or items
// are not in key order: such a list has no encoding.
func AppendEncoding(b []byte, sets []Set) ([]byte, error) {
	if err := checkEncodable(sets); err != nil {
		return b, err
	}
	le := binary.LittleEndian
	b = append(b, encodingMagic...)
	b = le.AppendUint32(b, encodingVersion)
	b = le.AppendUint32(b, uint32(len(sets)))
	for _, s := range sets {
		b = le.AppendUint32(b, uint32(len(s.Name)))
		b = append(b, s.Name...)
		b = le.AppendUint32(b, uint32(len(s.Items)))
		for _, it := range s.Items {
			b = le.AppendUint32(b, uint32(len(it.name)))
			b = append(b, it.name...)
			b = le.AppendUint32(b, it.key)
			b = le.AppendUint64(b, uint64(len(it.bytes)))
			b = append(b, it.bytes...)
		}
	}
	return b, nil
}

// Encode is AppendEncoding into a new slice of the right size.
func Encode(sets []Set) ([]byte, error) {
	n := len(encodingMagic) + 8
	for _, s := range sets {
		n += setHeader + len(s.Name)
		for _, it := range s.Items {
			n += itemHeader + len(it.name) + len(it.bytes)
		}
	}
	return AppendEncoding(make([]byte, 0, n), sets)
}

func checkEncodable(sets []Set) error {
	if uint64(len(sets)) > math.MaxUint32 {
		return fmt.Errorf("%w: %d sets", ErrEncoding, len(sets))
	}
	seen := make(map[string]struct{}, len(sets))
	for _, s := range sets {
		if err := CheckSetName(s.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrEncoding, err)
		}
		if _, dup := seen[s.Name]; dup {
			return fmt.Errorf("%w: set %q appears twice", ErrEncoding, s.Name)
		}
		seen[s.Name] = struct{}{}
		if uint64(len(s.Items)) > math.MaxUint32 {
			return fmt.Errorf("%w: set %q has %d items", ErrEncoding, s.Name, len(s.Items))
		}
		if !s.Ordered() {
			return fmt.Errorf("%w: items of set %q are not in key order", ErrEncoding, s.Name)
		}
		for _, it := range s.Items {
			if err := CheckItemName(it.name); err != nil {
				return fmt.Errorf("%w: %w", ErrEncoding, err)
			}
		}
	}
	return nil
}

// Decode is the inverse of Encode and accepts nothing that Encode does not
// produce. The items refer to b, which must not change while they are in use.
// Memory is taken in proportion to len(b), whatever the counts in b say.
func Decode(b []byte) ([]Set, error) {
	r := reader{b: b}
	if string(r.take(uint64(len(encodingMagic)))) != encodingMagic {
		return nil, fmt.Errorf("%w: it does not start with %q", ErrEncoding, encodingMagic)
	}
	if v := r.u32(); !r.failed && v != encodingVersion {
		return nil, fmt.Errorf("%w: version %d is not known, only %d", ErrEncoding, v, encodingVersion)
	}
	sets := make([]Set, 0, r.count(setHeader))
	for range cap(sets) {
		name := string(r.take(uint64(r.u32())))
		items := make([]Item, r.count(itemHeader))
		set := Set{Name: name, Items: make([]*Item, len(items))}
		for i := range items {
			name := string(r.take(uint64(r.u32())))
			key := r.u32()
			items[i].Init(name, key, r.take(r.u64()))
			set.Items[i] = &items[i]
		}
		sets = append(sets, set)
		if r.failed {
			break
		}
	}
	if r.failed {
		return nil, fmt.Errorf("%w: it ends in the middle, at byte %d", ErrEncoding, r.at)
	}
	if rest := len(b) - r.at; rest > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow the last item", ErrEncoding, rest)
	}
	if err := checkEncodable(sets); err != nil {
		return nil, err
	}
	return sets, nil
}

// reader takes numbers and bytes from the front of b. After the first failure
// everything it returns is zero.
type reader struct {
	b      []byte
	at     int
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.b)-r.at) {
		r.failed = true
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.b[from:r.at:r.at]
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of elements that take at least size bytes each, and
// fails when the rest can't hold them, so that nobody allocates for a lie.
func (r *reader) count(size int) int {
	n := uint64(r.u32())
	if !r.failed && n > uint64(len(r.b)-r.at)/uint64(size) {
		r.failed = true
	}
	if r.failed {
		return 0
	}
	return int(n)
}
