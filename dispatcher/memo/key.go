package memo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"pappus/data"
	"pappus/engine"
)

// A Key names a result: the digest of all that it depends on. Different calls
// have different keys, but for what can't change a result: the limits on fuel
// (see Call.Fuel) and time, and the order in which implementations are listed.
type Key [sha256.Size]byte

// String is the key in hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// A Spec is what of a function its results depend on.
type Spec struct {
	// Tenant is whose results these are. Tenants never share any: calls of a
	// function that was published for all name the same one, on purpose.
	Tenant string

	// Function names the function in figures. It is not part of the key.
	Function string

	// Code has the digests of the function's code by engine, and Layout is how
	// inputs are placed.
	Code   map[string]data.Digest
	Layout string

	// Implementation is what the call will be run by: the engine, the version of
	// its semantics, and the processor's architecture unless the code's floating
	// point is canonical. Fuel and failures are defined for one implementation
	// only, and any result may turn out to be a failure: so this is always part
	// of the key.
	Implementation string

	Signature engine.Signature
	Limits    engine.Limits // Fuel and Timeout are not part of the key

	// SuccessesOnly has failures forgotten, as those of compositions are: which
	// of several is seen first is not a function of the inputs. It is not part of
	// the key.
	SuccessesOnly bool
}

// The encodings that are hashed, version 1. Numbers are little-endian and of
// fixed width, texts have their length (u32) before them, and every list its
// count (u32), so nothing can move from one part to the next. A change of
// either changes the version in its first line; key_test.go holds them.
//
// Of a function:
//
//	"pappus memo function 1\n", tenant, code (count; engine and digest, by name
//	of the engine), layout, implementation, signature (open u8; inputs and
//	outputs, each a count, then name, type and content type of each), limits
//	(memory, stack, output, items, u64 each)
//
// Of a call:
//
//	"pappus memo call 1\n", digest of the function, parallelism u32, inputs
//	(count; name and items of each: count, then name, key u32, length u64, and
//	the content, or its SHA-256 if it is longer than 256 bytes)
const (
	functionEncoding = "pappus memo function 1\n"
	callEncoding     = "pappus memo call 1\n"

	// inlineBytes is the longest content that is hashed as it is. Hashing it
	// again costs less than the 32 bytes that its digest would occupy.
	inlineBytes = 256
)

var le = binary.LittleEndian //nolint:gochecknoglobals // a short name for a constant

func appendText(b []byte, s string) []byte {
	b = le.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// digest is that of the function's encoding.
func (s *Spec) digest() data.Digest {
	b := append(make([]byte, 0, 1024), functionEncoding...)
	b = appendText(b, s.Tenant)
	b = appendCode(b, s.Code)
	b = appendText(b, s.Layout)
	b = appendText(b, s.Implementation)
	open := byte(0)
	if s.Signature.Open {
		open = 1
	}
	b = append(b, open)
	for _, params := range [][]engine.Param{s.Signature.Inputs, s.Signature.Outputs} {
		b = le.AppendUint32(b, uint32(len(params)))
		for _, p := range params {
			b = appendText(b, p.Name)
			b = appendText(b, p.Type)
			b = appendText(b, p.ContentType)
		}
	}
	for _, n := range []int64{int64(s.Limits.Memory), int64(s.Limits.Stack), int64(s.Limits.Output), int64(s.Limits.Items)} {
		b = le.AppendUint64(b, uint64(n))
	}
	return data.Sum(b)
}

func appendCode(b []byte, code map[string]data.Digest) []byte {
	b = le.AppendUint32(b, uint32(len(code)))
	for _, engineName := range slices.Sorted(maps.Keys(code)) {
		b = appendText(b, engineName)
		d := code[engineName]
		b = append(b, d[:]...)
	}
	return b
}

// CodeDigest names code, in all its implementations, for Purge.
func CodeDigest(code map[string]data.Digest) data.Digest {
	return data.Sum(appendCode(nil, code))
}

// Key is the key of a call with these inputs; parallelism is 0 for functions,
// which have no use for it. Digests of contents are computed once and stay with
// their items.
func (f *Function) Key(inputs []data.Set, parallelism int) Key {
	const small = 2048
	if n := encodedSize(inputs); n > small {
		return f.largeKey(inputs, parallelism)
	}
	var buffer [small]byte // on the stack
	b := f.appendCall(buffer[:0], inputs, parallelism)
	for i := range inputs {
		b = appendSet(b, &inputs[i])
		for _, item := range inputs[i].Items {
			b = appendItem(b, item)
		}
	}
	return sha256.Sum256(b)
}

// largeKey is Key for many items, piece by piece.
func (f *Function) largeKey(inputs []data.Set, parallelism int) (k Key) {
	const piece = 16 << 10
	h := sha256.New()
	b := f.appendCall(make([]byte, 0, piece+4<<10), inputs, parallelism)
	for i := range inputs {
		b = appendSet(b, &inputs[i])
		for _, item := range inputs[i].Items {
			if b = appendItem(b, item); len(b) >= piece {
				h.Write(b)
				b = b[:0]
			}
		}
	}
	h.Write(b)
	h.Sum(k[:0])
	return k
}

func (f *Function) appendCall(b []byte, inputs []data.Set, parallelism int) []byte {
	b = append(b, callEncoding...)
	b = append(b, f.digest[:]...)
	b = le.AppendUint32(b, uint32(parallelism))
	return le.AppendUint32(b, uint32(len(inputs)))
}

func appendSet(b []byte, set *data.Set) []byte {
	b = appendText(b, set.Name)
	return le.AppendUint32(b, uint32(len(set.Items)))
}

func appendItem(b []byte, item *data.Item) []byte {
	b = appendText(b, item.Name())
	b = le.AppendUint32(b, item.Key())
	b = le.AppendUint64(b, uint64(item.Len()))
	if item.Len() <= inlineBytes {
		return append(b, item.Bytes()...)
	}
	d := item.Digest()
	return append(b, d[:]...)
}

// encodedSize is at least the length of a call's encoding.
func encodedSize(inputs []data.Set) int {
	n := len(callEncoding) + len(data.Digest{}) + 8
	for i := range inputs {
		n += len(inputs[i].Name) + 8
		for _, item := range inputs[i].Items {
			n += len(item.Name()) + 16 + min(item.Len(), inlineBytes)
		}
	}
	return n
}

// sizes are what a call's inputs would cost to look at.
type sizes struct {
	items    int
	bytes    int64 // of contents and names
	unhashed int64 // of bytes, what has no digest yet
}

func measure(inputs []data.Set) (n sizes) {
	for _, set := range inputs {
		n.items += len(set.Items)
		for _, item := range set.Items {
			size := int64(item.Len())
			name := int64(len(item.Name()))
			n.bytes += size + name
			n.unhashed += name
			if item.Len() <= inlineBytes || !item.Digested() {
				n.unhashed += size
			}
		}
	}
	return n
}
