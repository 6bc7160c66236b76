package samples_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	mathbits "math/bits"
	"math/rand/v2"
	"testing"

	"pappus/engine"
	"pappus/wasmengine"
)

// compressible is n bytes in which much is there again, near and far.
func compressible(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n)
	letters := 1 + r.IntN(256)
	for len(b) < n {
		k := min(1+r.IntN(1<<r.IntN(12)), n-len(b))
		if len(b) == 0 || r.IntN(3) == 0 {
			for range k {
				b = append(b, byte(r.IntN(letters)))
			}
			continue
		}
		far := 1 + r.IntN(min(len(b), 1<<r.IntN(17)))
		for range k {
			b = append(b, b[len(b)-far])
		}
	}
	return b
}

// skewed is n bytes of which some are far more frequent than others.
func skewed(r *rand.Rand, n int) []byte {
	order, steepness := r.Perm(256), 1+20*r.Float64()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(order[min(int(r.ExpFloat64()*steepness), 255)])
	}
	return b
}

// gzipped is data as Go compresses it.
func gzipped(data []byte, level int, header gzip.Header) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err == nil {
		w.Header = header
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

// gzipFile is a file of a header without anything, blocks, and the trailer for data.
func gzipFile(blocks, data []byte) []byte {
	b := append([]byte{0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF}, blocks...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(b, uint32(len(data)))
}

// bitWriter writes bits, the lowest first.
type bitWriter struct {
	b    []byte
	n    int
	last byte
}

func (w *bitWriter) put(v, n int) {
	for i := range n {
		w.last |= byte(v>>i&1) << w.n
		if w.n++; w.n == 8 {
			w.b, w.n, w.last = append(w.b, w.last), 0, 0
		}
	}
}

// code writes a code, whose highest bit comes first.
func (w *bitWriter) code(v, n int) { w.put(int(mathbits.Reverse16(uint16(v))>>(16-n)), n) }

// fixedBlock is a last block in the fixed code: literals, then so many matches
// of 258 bytes at distance 1.
func fixedBlock(literals string, matches int) []byte {
	w := &bitWriter{}
	w.put(1|1<<1, 3)
	for _, c := range []byte(literals) {
		if c < 144 {
			w.code(0x30+int(c), 8)
		} else {
			w.code(0x190+int(c)-144, 9)
		}
	}
	for range matches {
		w.code(0xC0+285-280, 8)
		w.code(0, 5)
	}
	w.code(0, 7)
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	return w.b
}

func storedBlock(data []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{1}, uint16(len(data)))
	return append(binary.LittleEndian.AppendUint16(b, ^uint16(len(data))), data...)
}

// twoMembers is what some programs write, and gunzip does not read.
func twoMembers() []byte {
	one := gzipFile(fixedBlock("ab", 0), []byte("ab"))
	return append(bytes.Clone(one), one...)
}

func compressionFolders() map[string]tree {
	noise, log := make([]byte, 400), logFile(7, "web-07", 300)
	fill(rand.New(rand.NewPCG(1, 1)), noise)
	full := gzip.Header{Name: "today.log", Comment: "of web-07", Extra: []byte("anything")}
	checked := gzipFile(fixedBlock("ab", 0), []byte("ab"))
	header := []byte{0x1F, 0x8B, 8, 2, 0, 0, 0, 0, 0, 0xFF} // with a checksum of itself
	withCRC := append(binary.LittleEndian.AppendUint16(bytes.Clone(header), uint16(crc32.ChecksumIEEE(header))), checked[10:]...)
	damaged, wrongSize, wrongCRC := gzipped(log, 6, full), bytes.Clone(checked), bytes.Clone(withCRC)
	damaged[len(damaged)/2] ^= 4
	binary.LittleEndian.PutUint32(wrongSize[len(wrongSize)-4:], 1<<31)
	wrongCRC[10] ^= 1
	repeated := bytes.Repeat([]byte("a"), 1+3*258)
	return map[string]tree{
		"gzip/cases/small": {
			"in/files/empty": {}, "out/files/empty.gz": gzipFile(fixedBlock("", 0), nil),
			"in/files/word": []byte("Straße\n"), "out/files/word.gz": gzipFile(fixedBlock("Straße\n", 0), []byte("Straße\n")),
		},
		"gzip/cases/noise":    {"in/files/noise": noise, "out/files/noise.gz": gzipFile(storedBlock(noise), noise)},
		"gzip/cases/repeated": {"in/files/a": repeated, "out/files/a.gz": gzipFile(fixedBlock("a", 3), repeated)},
		"gunzip/cases/logs": {
			"in/files/best.log.gz": gzipped(log, 9, gzip.Header{}), "out/files/best.log": log,
			"in/files/full-header.log.gz": gzipped(log, 1, full), "out/files/full-header.log": log,
			"in/files/stored": gzipped(log, 0, gzip.Header{}), "out/files/stored": log,
		},
		"gunzip/cases/small": {
			"in/files/empty.gz": gzipFile(fixedBlock("", 0), nil), "out/files/empty": {},
			"in/files/checked.gz": withCRC, "out/files/checked": []byte("ab"),
		},
		"gunzip/cases/no-gzip":      failsWith(1, tree{"in/files/notes.gz": []byte("These are notes.\n")}),
		"gunzip/cases/empty":        failsWith(1, tree{"in/files/a.gz": {}}),
		"gunzip/cases/cut":          failsWith(1, tree{"in/files/a.gz": checked[:len(checked)-1]}),
		"gunzip/cases/damaged":      failsWith(1, tree{"in/files/a.gz": damaged}),
		"gunzip/cases/wrong-size":   failsWith(1, tree{"in/files/a.gz": wrongSize}),
		"gunzip/cases/wrong-header": failsWith(1, tree{"in/files/a.gz": wrongCRC}),
		"gunzip/cases/two-members":  failsWith(1, tree{"in/files/a.gz": twoMembers()}),
	}
}

// gunzips fails unless Go makes data of the file.
func gunzips(t test, file, data []byte) {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r) // which compares the checksum
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%v, or other bytes come out of it", err)
	}
}

// TestCompression has the samples and Go read what the other has written, and
// the samples do the same on this machine, where their accesses to memory are
// watched.
func TestCompression(t *testing.T) {
	e := newEngine(t, wasmengine.Config{})
	pack, unpack := prepare(t, e, "gzip", engine.Limits{}), prepare(t, e, "gunzip", engine.Limits{})
	packNatively, unpackNatively := sanitized(t, "gzip"), sanitized(t, "gunzip")
	round := func(t *testing.T, data []byte, level int) {
		t.Helper()
		made := pack.call(t, set("files", data))
		gunzips(t, made.items[0], data)
		foreign := gzipped(data, level, gzip.Header{Name: "a"})
		got := unpack.call(t, set("files", made.items[0], foreign))
		if got.code != 0 || !bytes.Equal(got.items[0], data) || !bytes.Equal(got.items[1], data) {
			t.Fatalf("exit code %d %q, or other bytes", got.code, got.why)
		}
		if packNatively != nil {
			packNatively.alike(t, pack, set("files", data))
			unpackNatively.alike(t, unpack, set("files", made.items[0], foreign))
		}
	}
	r := rand.New(rand.NewPCG(10, 10))
	t.Run("edges", func(t *testing.T) {
		for _, n := range []int{0, 1, 2, 3, 4, 257, 258, 259, 261, 16384, 32767, 32768, 32769, 65535, 65536, 200_000} {
			noise := make([]byte, n)
			round(t, noise, 6)
			fill(r, noise)
			round(t, noise, 1)
			round(t, append(noise, noise...), 6) // the second half is as far behind as the first is long
		}
	})
	t.Run("random", func(t *testing.T) {
		for range 300 {
			round(t, compressible(r, r.IntN(1<<r.IntN(18))), r.IntN(12)-2)
			round(t, skewed(r, r.IntN(1<<r.IntN(14))), r.IntN(12)-2)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		for range 2000 {
			data := compressible(r, r.IntN(300))
			file := gzipped(data, r.IntN(12)-2, gzip.Header{Name: "a", Comment: "b", Extra: []byte("c")})
			for range 1 + r.IntN(3) {
				file[r.IntN(len(file))] ^= 1 << r.IntN(8)
			}
			if r.IntN(4) == 0 {
				file = file[:r.IntN(len(file))]
			}
			got := unpack.call(t, set("files", file))
			if got.code > 1 {
				t.Fatalf("exit code %d %q", got.code, got.why)
			}
			if got.code == 0 { // what was changed says nothing of the data
				gunzips(t, file, got.items[0])
			}
			if unpackNatively != nil {
				unpackNatively.alike(t, unpack, set("files", file))
			}
		}
	})
	t.Run("ratio", func(t *testing.T) {
		text := readFile(t, "wordcount/cases/opticks/in/text/book-1.txt")
		ours, theirs := len(pack.call(t, set("files", text)).items[0]), len(gzipped(text, 6, gzip.Header{}))
		if ours > theirs+theirs/50 {
			t.Errorf("%d bytes instead of %d", ours, theirs)
		}
	})
}
