package loader

import "encoding/binary"

// file is the bytes of an ELF file.
type file []byte

// part is n bytes at offset, if the file has them.
func (f file) part(offset, n uint64) (file, bool) {
	size := uint64(len(f))
	if n > size || offset > size-n {
		return nil, false
	}
	return f[offset : offset+n : offset+n], true
}

// table is count records of the given size at offset, if the file has them.
func (f file) table(offset, count, size uint64) (file, bool) {
	if count > uint64(len(f))/size {
		return nil, false
	}
	return f.part(offset, count*size)
}

// Fields of what part and table gave, which are known to be there.
func (f file) u16(at int) uint16 { return binary.LittleEndian.Uint16(f[at:]) }
func (f file) u32(at int) uint32 { return binary.LittleEndian.Uint32(f[at:]) }
func (f file) u64(at int) uint64 { return binary.LittleEndian.Uint64(f[at:]) }

// named reports whether the string table holds name, and its end, at offset.
func (f file) named(offset uint64, name string) bool {
	b, ok := f.part(offset, uint64(len(name))+1)
	return ok && string(b[:len(name)]) == name && b[len(name)] == 0
}

// span is addresses from at on.
type span struct{ at, n uint64 }

// end is the address behind it. Spans that were checked don't overflow.
func (s span) end() uint64 { return s.at + s.n }

func (s span) holds(at, n uint64) bool { return n <= s.n && at >= s.at && at-s.at <= s.n-n }

func (s span) overlaps(other span) bool { return s.at < other.end() && other.at < s.end() }

// pages is the pages that it touches.
func (s span) pages() span {
	const page = 4096
	first := s.at &^ (page - 1)
	return span{first, (s.end()+page-1)&^(page-1) - first}
}
