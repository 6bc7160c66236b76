package binary

import (
	"fmt"
	"unicode/utf8"
)

// cursor reads primitives from a slice. The first failure sticks: from then on
// every read returns zero, so callers need to look at err only where they loop
// or act on what they read.
type cursor struct {
	b    []byte
	pos  int
	base int // offset of b in the module

	err     *Error
	past    *overruns // of a survey; nil: a cap that is exceeded is an error
	section string
	fn      int // function index for errors, or -1
}

func (c *cursor) rest() int { return len(c.b) - c.pos }

// fail records the first error, at position at of the slice.
func (c *cursor) fail(kind error, at int, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Kind: kind, Offset: c.base + at, Section: c.section, Func: c.fn, Reason: fmt.Sprintf(format, args...)}
	}
	c.pos = len(c.b)
}

// over is what happens where a cap is exceeded: an error, or, in a survey, a
// note of it. It is named as Caps.Each does. hopeless says that it is exceeded by
// so much that a survey ends too.
func (c *cursor) over(name string, hopeless bool, at int, format string, args ...any) {
	if c.err != nil {
		return
	}
	over := &Error{Kind: ErrLimit, Offset: c.base + at, Section: c.section, Func: c.fn, Reason: fmt.Sprintf(format, args...), Cap: name}
	if c.past != nil {
		c.past.add(over)
		if !hopeless {
			return
		}
		end := *over
		end.Reason = "the module is so far over a limit that the rest was not looked at"
		over = &end
	}
	c.err, c.pos = over, len(c.b)
}

func (c *cursor) malformed(at int, format string, args ...any) {
	c.fail(ErrMalformed, at, format, args...)
}

func (c *cursor) byte() byte {
	if c.pos >= len(c.b) {
		c.malformed(c.pos, "unexpected end")
		return 0
	}
	v := c.b[c.pos]
	c.pos++
	return v
}

// bytes returns the next n bytes without copying them.
func (c *cursor) bytes(n uint32) []byte {
	if int64(n) > int64(c.rest()) {
		c.malformed(c.pos, "%d bytes announced, %d left", n, c.rest())
		return nil
	}
	v := c.b[c.pos : c.pos+int(n) : c.pos+int(n)]
	c.pos += int(n)
	return v
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (c *cursor) u32() uint32 {
	if c.pos < len(c.b) && c.b[c.pos] < 0x80 {
		c.pos++
		return uint32(c.b[c.pos-1])
	}
	return c.u32Long()
}

func (c *cursor) u32Long() uint32 {
	at := c.pos
	var v uint32
	for shift := 0; ; shift += 7 {
		x := c.byte()
		if c.err != nil {
			return 0
		}
		if shift == 28 && x > 0x0f {
			c.malformed(at, "integer of more than 32 bits")
			return 0
		}
		v |= uint32(x&0x7f) << shift
		if x < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 number of at most the given number of bits.
func (c *cursor) signed(bits int) int64 {
	at := c.pos
	var v int64
	for shift := 0; ; shift += 7 {
		x := c.byte()
		if c.err != nil {
			return 0
		}
		if left := bits - shift; left < 7 {
			// The last byte: what is beyond the number must repeat its sign.
			sign := int8(x<<1) >> left // bits from the sign bit upwards
			if x >= 0x80 || (sign != 0 && sign != -1) {
				c.malformed(at, "integer of more than %d bits", bits)
				return 0
			}
		}
		v |= int64(x&0x7f) << shift
		if x < 0x80 {
			if shift+7 < 64 && x&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// count reads the length of a vector whose entries take at least size bytes,
// so that nothing larger than the module is ever allocated for it. limit is the
// cap of that name.
func (c *cursor) count(name, what string, size, limit int) int {
	at := c.pos
	n := c.u32()
	if c.err != nil {
		return 0
	}
	if int64(n) > int64(limit) {
		if c.over(name, hopeless(int64(n), limit), at, "%d %s, at most %d are allowed", n, what, limit); c.err != nil {
			return 0
		}
	}
	if int64(n)*int64(size) > int64(c.rest()) {
		c.malformed(at, "%d %s announced in %d bytes", n, what, c.rest())
		return 0
	}
	return int(n)
}

// name reads a UTF-8 string.
func (c *cursor) name(limit int) string {
	at := c.pos
	n := c.u32()
	if int64(n) > int64(limit) {
		if c.over("name", false, at, "name of %d bytes, at most %d are allowed", n, limit); c.err != nil {
			return ""
		}
	}
	b := c.bytes(n)
	if !utf8.Valid(b) {
		c.malformed(at, "name is not UTF-8")
		return ""
	}
	return string(b)
}

// valueType reads the type of a value.
func (c *cursor) valueType() ValueType {
	at := c.pos
	b := c.byte()
	if c.err != nil {
		return 0
	}
	if !isValueType(b) {
		c.badType(at, b)
		return 0
	}
	return ValueType(b)
}

// refType reads a reference type.
func (c *cursor) refType() ValueType {
	at := c.pos
	t := c.valueType()
	if c.err == nil && t != FuncRef && t != ExternRef {
		c.malformed(at, "%v where a reference type must stand", t)
	}
	return t
}

func isValueType(b byte) bool {
	switch ValueType(b) {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
		return true
	}
	return false
}

// badType fails for a byte that is no type of WebAssembly 2.0.
func (c *cursor) badType(at int, b byte) {
	switch {
	case b >= 0x63 && b <= 0x74: // (ref null), (ref), exnref and the abstract heap types
		c.fail(ErrUnsupported, at, "type 0x%02x belongs to exceptions, typed references or garbage collection", b)
	default:
		c.malformed(at, "0x%02x is not a type", b)
	}
}
