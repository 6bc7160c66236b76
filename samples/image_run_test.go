package samples_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

// ended is how a function for images ended: the contents of its first output
// set, or how it failed.
type ended struct {
	items [][]byte
	code  int32 // exit code
	why   string
}

// test is what tests and properties have in common.
type test interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// call runs a function that may fail by an exit code, and in no other way.
func (p *prepared) call(t test, sets ...data.Set) ended {
	t.Helper()
	result, err := p.program.Run(t.Context(), sets, p.limits)
	var f *engine.Fault
	switch {
	case errors.As(err, &f) && f.Kind == engine.FaultExit && len(f.Stderr) > 0:
		return ended{code: f.ExitCode, why: string(f.Stderr)}
	case err != nil:
		t.Fatal(err)
	}
	defer result.Release()
	var e ended
	for _, it := range result.Outputs[0].Items {
		e.items = append(e.items, bytes.Clone(it.Bytes()))
	}
	return e
}

// decodes fails unless image-decode makes want of a file.
func (p *prepared) decodes(t test, file []byte, want picture, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := p.call(t, set("images", file))
	if got.code != 0 || len(got.items) != 1 || !bytes.Equal(got.items[0], want.pixels()) {
		t.Fatalf("exit code %d %q, or other pixels", got.code, got.why)
	}
}

// agrees fails if image-decode makes something else of a file than the
// reference does, or accepts what that refuses. It may be stricter.
func agrees(t test, file []byte, got ended) (accepted bool) {
	t.Helper()
	if got.code != 0 {
		if got.code > 3 {
			t.Fatalf("exit code %d", got.code)
		}
		return false
	}
	reference := decoded
	if bytes.HasPrefix(file, []byte("qoif")) {
		reference = unQOI
	}
	want, err := reference(file)
	if err != nil || len(got.items) != 1 || !bytes.Equal(got.items[0], want.pixels()) {
		t.Fatalf("other pixels, or none are right: %v", err)
	}
	return true
}

func TestImageDecodeIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-decode", engine.Limits{})
	sides := []int{1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33}
	for i, kind := range pngKinds {
		for _, interlaced := range []bool{false, true} {
			for filter := range 6 {
				f := pngForm{
					width: sides[(i+filter)%len(sides)], height: sides[(i*filter+filter)%len(sides)], colour: kind.colour, depth: kind.depth, interlaced: interlaced,
					filter: filter, transparency: kind.colour < greyAlpha && filter%2 == 0, level: 6, noise: 200, seed: uint64(i),
				}
				t.Run(f.String(), func(t *testing.T) {
					want, err := decoded(f.file())
					p.decodes(t, f.file(), want, err)
				})
			}
		}
	}
}

// form draws any PNG file.
func form(t *rapid.T) pngForm {
	kind := rapid.SampledFrom(pngKinds).Draw(t, "kind")
	return pngForm{
		width: rapid.IntRange(1, 70).Draw(t, "width"), height: rapid.IntRange(1, 70).Draw(t, "height"),
		colour: kind.colour, depth: kind.depth,
		interlaced: rapid.Bool().Draw(t, "interlaced"), filter: rapid.IntRange(0, 5).Draw(t, "filter"),
		transparency: kind.colour < greyAlpha && rapid.Bool().Draw(t, "transparency"),
		level:        rapid.IntRange(-2, 9).Draw(t, "level"), chunk: rapid.IntRange(0, 100).Draw(t, "chunk"),
		noise: rapid.SampledFrom([]int{0, 5, 100, 256}).Draw(t, "noise"), seed: rapid.Uint64().Draw(t, "seed"),
	}
}

func TestImageDecodeIsRightOnAnyPNG(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-decode", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		file := form(t).file()
		want, err := decoded(file)
		p.decodes(t, file, want, err)
	})
}

// randomQOI is a file that uses everything that the format has: its pixels are
// what the bytes say, and its size fits them.
func randomQOI(r *rand.Rand, n int) []byte {
	pixels := 0
	var body []byte
	for range n {
		var op [5]byte
		fill(r, op[:])
		size, run := 1, 1
		switch kind := r.IntN(6); kind {
		case 0, 1:
			op[0] &= 63 | byte(kind)<<6
		case 2:
			op[0], size = 0x80|op[0]&63, 2
		case 3:
			op[0] = 0xC0 | op[0]%62
			run = int(op[0]&63) + 1
		case 4:
			op[0], size = 0xFE, 4
		case 5:
			op[0], size = 0xFF, 5
		}
		if op[0]>>6 == 2 {
			size = 2
		}
		body = append(body, op[:size]...)
		pixels += run
	}
	file := binary.BigEndian.AppendUint32([]byte("qoif"), uint32(pixels))
	file = append(file, 0, 0, 0, 1, byte(3+r.IntN(2)), byte(r.IntN(2)))
	return append(append(file, body...), 0, 0, 0, 0, 0, 0, 0, 1)
}

func TestImageDecodeIsRightOnAnyQOI(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-decode", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		file := randomQOI(r, rapid.IntRange(1, 300).Draw(t, "ops"))
		want, err := unQOI(file)
		p.decodes(t, file, want, err)
	})
}

// mended puts right the checksums of a PNG file, as far as it has chunks, so
// that what is wrong is found behind them.
func mended(file []byte) []byte {
	file = bytes.Clone(file)
	var compressed []byte
	var ends []int // where each byte of compressed is
	seal := func() {
		for at := len(pngSignature); len(file)-at >= 12; {
			n := uint64(binary.BigEndian.Uint32(file[at:]))
			if n > uint64(len(file)-at-12) {
				return
			}
			crc := crc32.ChecksumIEEE(file[at+4 : at+8+int(n)])
			binary.BigEndian.PutUint32(file[at+8+int(n):], crc)
			if string(file[at+4:at+8]) == "IDAT" {
				for i := range int(n) {
					compressed, ends = append(compressed, file[at+8+i]), append(ends, at+8+i)
				}
			}
			at += 12 + int(n)
		}
	}
	seal()
	if len(compressed) > 6 {
		z := bytes.NewReader(compressed[2:])
		if raw, err := io.ReadAll(io.LimitReader(flate.NewReader(z), 1<<20)); err == nil && z.Len() == 4 {
			sum := binary.BigEndian.AppendUint32(nil, adler32.Checksum(raw))
			for i, at := range ends[len(ends)-4:] {
				file[at] = sum[i]
			}
			seal()
		}
	}
	return file
}

// damagedFiles are files cut short, and with bits changed, of which some have
// right checksums.
func damagedFiles(yield func([]byte) bool) {
	r := rand.New(rand.NewPCG(6, 6))
	var files [][]byte
	for i, kind := range pngKinds {
		f := pngForm{width: 9 + i, height: 7, colour: kind.colour, depth: kind.depth, interlaced: i%2 == 0, filter: 5, transparency: kind.colour < greyAlpha, level: i%10 - 1, chunk: 20 * i, noise: 100, seed: uint64(i)}
		files = append(files, f.file())
	}
	files = append(files, randomQOI(r, 60), randomQOI(r, 10), qoi(photo(1, 20, 20)))
	for _, file := range files {
		for n := 0; n < len(file); n += 1 + n/40 {
			if !yield(file[:n]) {
				return
			}
		}
		for i := range 60 {
			bad := bytes.Clone(file)
			for range 1 + r.IntN(3) {
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			}
			if i%3 != 0 && bytes.HasPrefix(bad, []byte(pngSignature)) {
				bad = mended(bad)
			}
			if !yield(bad) {
				return
			}
		}
	}
}

// Of what is damaged, the function accepts nothing that the reference does
// not, and ends with an exit code.
func TestDamagedImages(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-decode", engine.Limits{})
	refused, accepted := 0, 0
	for file := range damagedFiles {
		if agrees(t, file, p.call(t, set("images", file))) {
			accepted++
		} else {
			refused++
		}
	}
	t.Logf("%d refused, %d accepted", refused, accepted)
	if refused < 1000 || accepted < 10 {
		t.Errorf("%d refused, %d accepted: the changes don't reach deep", refused, accepted)
	}
}

func FuzzImageDecode(f *testing.F) {
	e, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = e.Close() })
	i := 0
	for file := range damagedFiles {
		if i++; i%40 == 0 {
			f.Add(file)
		}
	}
	p := prepare(f, e, "image-decode", engine.Limits{})
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, file := range [][]byte{file, mended(file)} {
			agrees(t, file, p.call(t, set("images", file)))
		}
	})
}

// bits are a number and how many bits of it there are, the lowest first.
type bits [2]uint

// deflated is a zlib stream of these bits, without a checksum.
func deflated(list ...bits) []byte {
	z, n := []byte{0x78, 0x01}, uint(0)
	for _, b := range list {
		for i := range b[1] {
			if n%8 == 0 {
				z = append(z, 0)
			}
			z[len(z)-1] |= byte(b[0]>>i&1) << (n % 8)
			n++
		}
	}
	return z
}

// ownCodes begins a block with codes of its own, of 257 literals and a
// distance, whose lengths have these code lengths.
func ownCodes(lengths map[int]uint, rest ...bits) []byte {
	list := []bits{{1, 1}, {2, 2}, {0, 5}, {0, 5}, {15, 4}}
	for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15} {
		list = append(list, bits{lengths[symbol], 3})
	}
	return deflated(append(list, rest...)...)
}

// Each mistake has its exit code and message.
func TestImageMessages(t *testing.T) {
	type chunk struct {
		kind    string
		content []byte
	}
	chunks := func(list ...chunk) []byte {
		file := []byte(pngSignature)
		for _, c := range list {
			file = pngChunk(file, c.kind, c.content)
		}
		return file
	}
	header := func(depth, colour int) []byte { return pngHeader(1, 1, depth, colour, 0) }
	none := []byte{}
	stored := func(raw ...byte) []byte { // a zlib stream without compression
		z := append([]byte{0x78, 0x01, 1, byte(len(raw)), 0, ^byte(len(raw)), 0xFF}, raw...)
		return binary.BigEndian.AppendUint32(z, adler32.Checksum(raw))
	}
	grey8 := header(8, grey)
	of := func(idat []byte) []byte {
		return chunks(chunk{"IHDR", grey8}, chunk{"IDAT", idat}, chunk{"IEND", none})
	}
	good := of(stored(0, 7))
	changed := func(file []byte, at int, to byte) []byte {
		file = bytes.Clone(file)
		file[at] = to
		return file
	}
	smallQOI := qoi(newPicture(1, 1))
	longQOI := qoi(newPicture(5, 1)) // a run after one pixel
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-decode", engine.Limits{})
	n := sanitized(t, "image-decode")
	for name, c := range map[string]struct {
		file []byte
		code int32
		why  string
	}{
		"good":                 {good, 0, ""},
		"good, more follows":   {append(bytes.Clone(good), "more"...), 0, ""},
		"an unknown chunk":     {chunks(chunk{"IHDR", grey8}, chunk{"teSt", none}, chunk{"IDAT", stored(0, 7)}, chunk{"IEND", none}), 0, ""},
		"several IDAT":         {chunks(chunk{"IHDR", grey8}, chunk{"IDAT", none}, chunk{"IDAT", stored(0, 7)[:5]}, chunk{"IDAT", stored(0, 7)[5:]}, chunk{"IEND", none}), 0, ""},
		"nothing":              {none, 1, "neither"},
		"text":                 {[]byte("GIF89a"), 1, "neither"},
		"signature only":       {[]byte(pngSignature), 2, "cut short"},
		"no end":               {chunks(chunk{"IHDR", grey8}, chunk{"IDAT", stored(0, 7)}), 2, "cut short"},
		"no pixels":            {chunks(chunk{"IHDR", grey8}, chunk{"IEND", none}), 2, "without pixels"},
		"an end with content":  {chunks(chunk{"IHDR", grey8}, chunk{"IDAT", stored(0, 7)}, chunk{"IEND", []byte{1}}), 2, "without pixels"},
		"chunk too long":       {changed(good, 8, 0xFF), 2, "longer than the file"},
		"checksum":             {changed(good, 30, 1), 2, "checksum of a chunk"},
		"no header":            {chunks(chunk{"IDAT", stored(0, 7)}, chunk{"IEND", none}), 2, "header is not the first"},
		"two headers":          {chunks(chunk{"IHDR", grey8}, chunk{"IHDR", grey8}), 2, "header is not the first"},
		"a header's length":    {chunks(chunk{"IHDR", grey8[:12]}), 2, "header is wrong"},
		"no width":             {chunks(chunk{"IHDR", pngHeader(0, 1, 8, 0, 0)}), 2, "no pixels"},
		"no height":            {chunks(chunk{"IHDR", pngHeader(1, 0, 8, 0, 0)}), 2, "no pixels"},
		"depth":                {chunks(chunk{"IHDR", header(3, grey)}), 2, "no such colour type"},
		"depth 32":             {chunks(chunk{"IHDR", header(32, grey)}), 2, "no such colour type"},
		"depth of a colour":    {chunks(chunk{"IHDR", header(4, rgb)}), 2, "no such colour type"},
		"depth of a palette":   {chunks(chunk{"IHDR", header(16, paletted)}), 2, "no such colour type"},
		"type":                 {chunks(chunk{"IHDR", header(8, 1)}), 2, "no such colour type"},
		"interlacing":          {chunks(chunk{"IHDR", pngHeader(1, 1, 8, 0, 2)}), 2, "no known kind"},
		"too large":            {chunks(chunk{"IHDR", pngHeader(4001, 4000, 8, 0, 0)}), 3, "16,000,000"},
		"far too large":        {chunks(chunk{"IHDR", pngHeader(1<<31-1, 1<<31-1, 16, 6, 1)}), 3, "16,000,000"},
		"overflowing":          {chunks(chunk{"IHDR", pngHeader(1<<16, 1<<16, 8, 0, 0)}), 3, "16,000,000"},
		"a bomb":               {chunks(chunk{"IHDR", pngHeader(4000, 4000, 16, 6, 0)}, chunk{"IDAT", stored(0)}, chunk{"IEND", none}), 2, "cut short"},
		"critical chunk":       {chunks(chunk{"IHDR", grey8}, chunk{"TEST", none}), 2, "must be understood"},
		"palette of grey":      {chunks(chunk{"IHDR", grey8}, chunk{"PLTE", []byte{1, 2, 3}}), 2, "palette where none"},
		"two palettes":         {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"PLTE", []byte{1, 2, 3}}, chunk{"PLTE", []byte{1, 2, 3}}), 2, "palette where none"},
		"palette's size":       {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"PLTE", []byte{1, 2}}), 2, "wrong size"},
		"palette for depth":    {chunks(chunk{"IHDR", header(1, paletted)}, chunk{"PLTE", make([]byte, 9)}), 2, "wrong size"},
		"palette too late":     {chunks(chunk{"IHDR", header(8, rgb)}, chunk{"IDAT", none}, chunk{"PLTE", make([]byte, 9)}), 2, "palette follows"},
		"no palette":           {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"IDAT", stored(0, 0)}, chunk{"IEND", none}), 2, "without pixels or palette"},
		"not in the palette":   {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"PLTE", []byte{1, 2, 3}}, chunk{"IDAT", stored(0, 1)}, chunk{"IEND", none}), 2, "not in the palette"},
		"transparency twice":   {chunks(chunk{"IHDR", grey8}, chunk{"tRNS", []byte{0, 1}}, chunk{"tRNS", []byte{0, 1}}), 2, "transparency where none"},
		"transparency of RGBA": {chunks(chunk{"IHDR", header(8, rgbAlpha)}, chunk{"tRNS", []byte{0, 1}}), 2, "transparency where none"},
		"transparency first":   {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"tRNS", []byte{1}}), 2, "transparency where none"},
		"transparency's size":  {chunks(chunk{"IHDR", grey8}, chunk{"tRNS", []byte{1}}), 2, "wrong size"},
		"transparency of more": {chunks(chunk{"IHDR", header(8, paletted)}, chunk{"PLTE", []byte{1, 2, 3}}, chunk{"tRNS", []byte{1, 2}}), 2, "wrong size"},
		"transparent colour":   {chunks(chunk{"IHDR", grey8}, chunk{"tRNS", []byte{1, 0}}), 2, "none of the image's"},
		"transparency late":    {chunks(chunk{"IHDR", grey8}, chunk{"IDAT", none}, chunk{"tRNS", []byte{0, 0}}), 2, "transparency follows"},
		"IDAT apart":           {chunks(chunk{"IHDR", grey8}, chunk{"IDAT", none}, chunk{"teSt", none}, chunk{"IDAT", stored(0, 7)}, chunk{"IEND", none}), 2, "not in one place"},
		"filter":               {of(stored(5, 7)), 2, "a filter of no known kind"},
		"too few data":         {of(stored(0)), 2, "fewer data"},
		"too many data":        {of(stored(0, 7, 7)), 2, "more data"},
		"more follows":         {of(append(stored(0, 7), 0)), 2, "follows the compressed"},
		"pixels' checksum":     {of(changed(stored(0, 7), 7, 1)), 2, "checksum of the data"},
		"no checksum":          {of(stored(0, 7)[:11]), 2, "cut short"},
		"empty":                {of(none), 2, "cut short"},
		"not zlib":             {of([]byte{0x79, 0x01, 0}), 2, "not compressed by zlib"},
		"a large window":       {of([]byte{0x88, 0x1C, 0}), 2, "not compressed by zlib"},
		"dictionary":           {of([]byte{0x78, 0x20, 0}), 2, "dictionary"},
		"kind of block":        {of([]byte{0x78, 0x01, 7}), 2, "a block is of no known kind"},
		"stored length":        {of(changed(stored(0, 7), 5, 0)), 2, "contradicts itself"},
		"a code's symbols":     {of([]byte{0x78, 0x01, 0xFD, 0xFF, 0xFF}), 2, "too many symbols"},
		"a distance":           {of([]byte{0x78, 0x01, 0x03, 0x02, 0, 0, 0}), 2, "before the start"},
		"repeats nothing":      {of(ownCodes(map[int]uint{0: 1, 16: 1}, bits{1, 1})), 2, "repeats one before it"},
		"many code lengths":    {of(ownCodes(map[int]uint{0: 1, 18: 1}, bits{1, 1}, bits{127, 7}, bits{1, 1}, bits{127, 7}, bits{1, 1}, bits{127, 7})), 2, "too many code lengths"},
		"no end of a block":    {of(ownCodes(map[int]uint{0: 1, 18: 1}, bits{1, 1}, bits{127, 7}, bits{1, 1}, bits{109, 7})), 2, "can't end"},
		"few code lengths":     {of(ownCodes(map[int]uint{0: 1, 18: 1})), 2, "cut short"},
		"half a code":          {of(ownCodes(map[int]uint{0: 2})), 2, "code of code lengths"},
		"too much of a code":   {of(ownCodes(map[int]uint{0: 1, 1: 1, 2: 1})), 2, "code of code lengths"},
		"half of the literals": {of(ownCodes(map[int]uint{18: 1, 0: 2, 2: 2}, bits{0, 1}, bits{127, 7}, bits{0, 1}, bits{107, 7}, bits{3, 2}, bits{1, 2})), 2, "a code is not complete"},
		"no such literal":      {of(ownCodes(map[int]uint{18: 1, 0: 2, 1: 2}, bits{0, 1}, bits{127, 7}, bits{0, 1}, bits{107, 7}, bits{3, 2}, bits{1, 2}, bits{1<<20 - 1, 20})), 2, "a symbol is wrong"},
		"literal 286":          {of(deflated(bits{1, 1}, bits{1, 2}, bits{0x63, 8})), 2, "no meaning"},
		"distance 30":          {of(deflated(bits{1, 1}, bits{1, 2}, bits{0x40, 7}, bits{0x0F, 5})), 2, "a distance is wrong"},
		"QOI cut":              {smallQOI[:len(smallQOI)-1], 2, "cut short"},
		"QOI header only":      {smallQOI[:14], 2, "cut short"},
		"QOI without width":    {changed(smallQOI, 7, 0), 2, "no pixels"},
		"QOI channels":         {changed(smallQOI, 12, 5), 2, "header is wrong"},
		"QOI colour space":     {changed(smallQOI, 13, 2), 2, "header is wrong"},
		"QOI too large":        {changed(smallQOI, 4, 0x7F), 3, "16,000,000"},
		"QOI bomb":             {changed(smallQOI, 5, 0x70), 2, "cut short"},
		"QOI run":              {changed(longQOI, 7, 4), 2, "longer than the image"},
		"QOI end":              {changed(smallQOI, len(smallQOI)-1, 0), 2, "does not end where"},
		"QOI pixels missing":   {changed(smallQOI, 7, 2), 2, "cut short"},
	} {
		images := data.Set{Name: "images", Items: []*data.Item{data.NewItem("good", 0, good), data.NewItem("some/picture", 1, c.file)}}
		got := p.call(t, images)
		if n != nil {
			n.alike(t, p, images)
		}
		want := "image-decode: some/picture: "
		if got.code != c.code || c.code != 0 && (!strings.HasPrefix(got.why, want) || !strings.HasSuffix(got.why, "\n") || !strings.Contains(got.why, c.why)) {
			t.Errorf("%s: exit code %d %q, want %d %q", name, got.code, got.why, c.code, c.why)
		}
	}
}

// As large as an image may be, each function can do it within its memory.
func TestLargestImage(t *testing.T) {
	e := newEngine(t, wasmengine.Config{})
	patient := engine.Limits{Timeout: engine.Duration(5 * time.Minute)} // on an emulated processor
	var compressed bytes.Buffer
	z, err := zlib.NewWriterLevel(&compressed, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]byte, 1+8*4000)
	for range 4000 {
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := pngChunk([]byte(pngSignature), "IHDR", pngHeader(4000, 4000, 16, rgbAlpha, 0))
	file = pngChunk(pngChunk(file, "IDAT", compressed.Bytes()), "IEND", nil)
	got := prepare(t, e, "image-decode", patient).call(t, set("images", file))
	if got.code != 0 || len(got.items[0]) != 8+4*4000*4000 {
		t.Fatalf("exit code %d %s", got.code, got.why)
	}
	large := got.items[0]
	if got = prepare(t, e, "image-thumbnail", patient).call(t, set("pixels", large), set("size", []byte("4096x3999"))); got.code != 0 || len(got.items[0]) != 8+4*3999*3999 {
		t.Errorf("exit code %d %s", got.code, got.why)
	}
	if got = prepare(t, e, "image-encode", patient).call(t, set("pixels", large)); got.code != 0 {
		t.Errorf("exit code %d %s", got.code, got.why)
	}
	if got = prepare(t, e, "image-sheet", patient).call(t, set("pixels", large)); got.code != 2 || !strings.Contains(got.why, "16,000,000") {
		t.Errorf("exit code %d %s", got.code, got.why)
	}
}

// drawn draws a small image of few colours, with and without transparency.
func drawn(t *rapid.T, side int) picture {
	p := newPicture(rapid.IntRange(1, side).Draw(t, "width"), rapid.IntRange(1, side).Draw(t, "height"))
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 7))
	alike, opaque := rapid.SampledFrom([]int{1, 3, 8, 60}).Draw(t, "alike"), rapid.Bool().Draw(t, "opaque")
	var c [4]byte
	fill(r, c[:])
	for i := range p.rgba {
		switch {
		case i%4 == 3 && opaque:
			c[3] = 255
		case r.IntN(alike) == 0 && r.IntN(2) == 0:
			c[i%4] = byte(r.Uint32())
		case r.IntN(alike) == 0:
			c[i%4] += byte(r.IntN(9)) - 4
		}
		p.rgba[i] = c[i%4]
	}
	return p
}

func TestImageThumbnailIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-thumbnail", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		from := drawn(t, 60)
		width, height := rapid.IntRange(1, 70).Draw(t, "box width"), rapid.IntRange(1, 70).Draw(t, "box height")
		size := fmt.Sprintf(" %dx%d\r\n", width, height)
		if width == height {
			size = fmt.Sprint(width)
		}
		got := p.call(t, set("pixels", from.pixels()), set("size", []byte(size)))
		want := scaled(from, width, height)
		if got.code != 0 || len(got.items) != 1 || !bytes.Equal(got.items[0], want.pixels()) {
			t.Fatalf("%d %q, or another image", got.code, got.why)
		}
	})
}

func TestImageEncodeIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-encode", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		from := drawn(t, 60)
		p.gives(t, qoi(from), set("pixels", from.pixels()))
		if back, err := unQOI(qoi(from)); err != nil || !bytes.Equal(back.rgba, from.rgba) {
			t.Fatalf("the reference loses something: %v", err)
		}
	})
}

func TestImageSheetIsRight(t *testing.T) {
	p := prepare(t, newEngine(t, wasmengine.Config{}), "image-sheet", engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		var pictures []picture
		var items [][]byte
		for range rapid.IntRange(1, 11).Draw(t, "images") {
			pictures = append(pictures, drawn(t, 12))
			items = append(items, pictures[len(pictures)-1].pixels())
		}
		p.gives(t, sheetOf(pictures...).pixels(), set("pixels", items...))
	})
}

// What is no image, or no size, is refused by each function that gets it.
func TestPixelsAreChecked(t *testing.T) {
	e := newEngine(t, wasmengine.Config{})
	u32 := binary.LittleEndian.AppendUint32
	good := photo(1, 3, 2).pixels()
	for _, name := range []string{"image-thumbnail", "image-encode", "image-sheet"} {
		p := prepare(t, e, name, engine.Limits{})
		for _, bad := range [][]byte{
			{}, good[:7], good[:8], good[:len(good)-1], append(bytes.Clone(good), 0), u32(u32(nil, 0), 0), append(u32(u32(nil, 1<<30), 1<<2), 0),
			u32(u32(nil, 1<<31), 1<<31), u32(u32(nil, 1<<32-1), 1<<32-1), u32(u32(nil, 1<<16), 1<<16), append(u32(u32(nil, 6), 0), good[8:]...),
		} {
			sets := []data.Set{{Name: "pixels", Items: []*data.Item{data.NewItem("bad", 0, bad)}}}
			if name == "image-thumbnail" {
				sets = append(sets, set("size", []byte("2")))
			}
			if got := p.call(t, sets...); got.code != 1 || got.why != name+": bad: this is no image\n" {
				t.Errorf("%s of %v: %d %q", name, bad, got.code, got.why)
			}
		}
	}
	p := prepare(t, e, "image-thumbnail", engine.Limits{})
	for _, size := range []string{"", " ", "0", "x", "4097", "-1", "1x", "x1", "1x0", "1x4097", "1 x 1", "1x1x1", "1.5", "99999999999999999999", "1\x00", "1X1"} {
		if got := p.call(t, set("pixels", good), set("size", []byte(size))); got.code != 2 || !strings.HasPrefix(got.why, "image-thumbnail: the size is not") {
			t.Errorf("size %q: %d %q", size, got.code, got.why)
		}
	}
}
