package samples_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
)

// What the functions for images do, once more in Go, slow and plain.

// picture is an image: a byte each of red, green, blue and alpha for every
// pixel, the colours not multiplied by it.
type picture struct {
	width, height int
	rgba          []byte
}

func (p picture) at(x, y int) []byte { return p.rgba[4*(y*p.width+x):][:4] }

// pixels is the image as an item that functions pass on.
func (p picture) pixels() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(p.width))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.height))
	return append(b, p.rgba...)
}

func newPicture(width, height int) picture {
	return picture{width, height, make([]byte, 4*width*height)}
}

// decoded is what image-decode makes of a PNG file that it accepts.
func decoded(file []byte) (picture, error) {
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return picture{}, err
	}
	bounds := img.Bounds()
	p := newPicture(bounds.Dx(), bounds.Dy())
	for y := range p.height {
		for x := range p.width {
			to := p.at(x, y)
			switch c := img.At(x, y).(type) {
			case color.NRGBA:
				copy(to, []byte{c.R, c.G, c.B, c.A})
			case color.NRGBA64:
				copy(to, []byte{rounded(c.R), rounded(c.G), rounded(c.B), rounded(c.A)})
			default: // opaque
				r, g, b, _ := c.RGBA()
				copy(to, []byte{rounded(uint16(r)), rounded(uint16(g)), rounded(uint16(b)), 255})
			}
		}
	}
	return p, nil
}

// rounded is a sample of 16 bits in 8.
func rounded(v uint16) byte { return byte((uint32(v)*255*2 + 65535) / (65535 * 2)) }

// scaled is what image-thumbnail makes of an image.
func scaled(p picture, boxWidth, boxHeight int) picture {
	if p.width <= boxWidth && p.height <= boxHeight {
		return p
	}
	round := func(side, to, from int) int { return max(1, (2*side*to+from)/(2*from)) }
	width, height := boxWidth, round(p.height, boxWidth, p.width)
	if p.width*boxHeight < p.height*boxWidth {
		width, height = round(p.width, boxHeight, p.height), boxHeight
	}
	// How much of source pixel i pixel x of the thumbnail covers, of n in a
	// line that becomes m.
	covers := func(x, i, n, m int) uint64 {
		return uint64(max(0, min((x+1)*n, (i+1)*m)-max(x*n, i*m)))
	}
	small := newPicture(width, height)
	for y := range height {
		for x := range width {
			var sum [3]uint64
			var alpha uint64
			for j := y * p.height / height; j < p.height && j*height < (y+1)*p.height; j++ {
				for i := x * p.width / width; i < p.width && i*width < (x+1)*p.width; i++ {
					from := p.at(i, j)
					weight := covers(x, i, p.width, width) * covers(y, j, p.height, height) * uint64(from[3])
					alpha += weight
					for c := range sum {
						sum[c] += weight * uint64(from[c])
					}
				}
			}
			if alpha == 0 {
				continue
			}
			area := uint64(p.width) * uint64(p.height)
			to := small.at(x, y)
			for c := range sum {
				to[c] = byte((sum[c] + alpha/2) / alpha)
			}
			to[3] = byte((alpha + area/2) / area)
		}
	}
	return small
}

// sheetOf is what image-sheet makes of images.
func sheetOf(pictures ...picture) picture {
	const gap = 4
	width, height, columns := 0, 0, 1
	for _, p := range pictures {
		width, height = max(width, p.width), max(height, p.height)
	}
	for columns*columns < len(pictures) {
		columns++
	}
	rows := (len(pictures) + columns - 1) / columns
	sheet := newPicture(gap+columns*(width+gap), gap+rows*(height+gap))
	for i, p := range pictures {
		left := gap + i%columns*(width+gap) + (width-p.width)/2
		top := gap + i/columns*(height+gap) + (height-p.height)/2
		for y := range p.height {
			for x := range p.width {
				copy(sheet.at(left+x, top+y), p.at(x, y))
			}
		}
	}
	return sheet
}

func qoiHash(c [4]byte) int {
	return (int(c[0])*3 + int(c[1])*5 + int(c[2])*7 + int(c[3])*11) % 64
}

// qoi is what image-encode makes of an image.
func qoi(p picture) []byte {
	channels := byte(3)
	for i := 3; i < len(p.rgba); i += 4 {
		if p.rgba[i] != 255 {
			channels = 4
		}
	}
	b := binary.BigEndian.AppendUint32([]byte("qoif"), uint32(p.width))
	b = binary.BigEndian.AppendUint32(b, uint32(p.height))
	b = append(b, channels, 0)
	var seen [64][4]byte
	before, run := [4]byte{3: 255}, 0
	flush := func() {
		if run > 0 {
			b = append(b, 0xC0|byte(run-1))
			run = 0
		}
	}
	for i := 0; i < len(p.rgba); i += 4 {
		c := [4]byte(p.rgba[i:])
		if c == before {
			if run++; run == 62 {
				flush()
			}
			continue
		}
		flush()
		r, g, bl := int(int8(c[0]-before[0])), int(int8(c[1]-before[1])), int(int8(c[2]-before[2]))
		small := func(v, from, to int) bool { return from <= v && v <= to }
		switch h := qoiHash(c); {
		case seen[h] == c:
			b = append(b, byte(h))
		case c[3] != before[3]:
			b = append(b, 0xFF, c[0], c[1], c[2], c[3])
		case small(r, -2, 1) && small(g, -2, 1) && small(bl, -2, 1):
			b = append(b, 0x40|byte((r+2)*16+(g+2)*4+bl+2))
		case small(g, -32, 31) && small(r-g, -8, 7) && small(bl-g, -8, 7):
			b = append(b, 0x80|byte(g+32), byte((r-g+8)*16+bl-g+8))
		default:
			b = append(b, 0xFE, c[0], c[1], c[2])
		}
		seen[qoiHash(c)] = c
		before = c
	}
	flush()
	return append(b, 0, 0, 0, 0, 0, 0, 0, 1)
}

var errQOI = errors.New("no QOI file")

// unQOI is what image-decode makes of a QOI file.
func unQOI(file []byte) (picture, error) {
	if len(file) < 14+8 || string(file[:4]) != "qoif" {
		return picture{}, errQOI
	}
	width, height := binary.BigEndian.Uint32(file[4:]), binary.BigEndian.Uint32(file[8:])
	channels, space := file[12], file[13]
	if width == 0 || height == 0 || uint64(width)*uint64(height) > 1<<24 || channels != 3 && channels != 4 || space > 1 {
		return picture{}, errQOI
	}
	p := newPicture(int(width), int(height))
	var seen [64][4]byte
	c, rest := [4]byte{3: 255}, file[14:]
	for at := 0; at < len(p.rgba); {
		// The end marker is never read as pixels.
		if len(rest) <= 8 {
			return picture{}, errQOI
		}
		op, arg := rest[0], rest[1:len(rest)-8]
		run, n := 1, 0
		switch {
		case op == 0xFE:
			n = 3
		case op == 0xFF:
			n = 4
		case op>>6 == 2:
			n = 1
		}
		if len(arg) < n {
			return picture{}, errQOI
		}
		switch {
		case n >= 3:
			copy(c[:], arg[:n])
		case op>>6 == 0:
			c = seen[op]
		case op>>6 == 1:
			c[0] += op>>4&3 - 2
			c[1] += op>>2&3 - 2
			c[2] += op&3 - 2
		case op>>6 == 2:
			green := op&63 - 32
			c[0] += green + arg[0]>>4 - 8
			c[1] += green
			c[2] += green + arg[0]&15 - 8
		default:
			run = int(op&63) + 1
		}
		rest = rest[1+n:]
		seen[qoiHash(c)] = c
		for ; run > 0; run-- {
			if at == len(p.rgba) {
				return picture{}, errQOI
			}
			at += copy(p.rgba[at:], c[:])
			if channels == 3 {
				p.rgba[at-1] = 255
			}
		}
	}
	if !bytes.HasPrefix(rest, []byte{0, 0, 0, 0, 0, 0, 0, 1}) {
		return picture{}, errQOI
	}
	return p, nil
}

// Colour types of PNG.
const (
	grey      = 0
	rgb       = 2
	paletted  = 3
	greyAlpha = 4
	rgbAlpha  = 6
)

var pngChannels = map[int]int{grey: 1, rgb: 3, paletted: 1, greyAlpha: 2, rgbAlpha: 4}

// pngKinds are all colour types and depths.
var pngKinds = []struct{ colour, depth int }{
	{grey, 1}, {grey, 2}, {grey, 4}, {grey, 8}, {grey, 16}, {rgb, 8}, {rgb, 16}, {paletted, 1}, {paletted, 2}, {paletted, 4}, {paletted, 8},
	{greyAlpha, 8}, {greyAlpha, 16}, {rgbAlpha, 8}, {rgbAlpha, 16},
}

// pngForm says how a PNG file is made of random pixels.
type pngForm struct {
	width, height int
	colour, depth int
	interlaced    bool
	filter        int  // of every row, 5 for one after the other
	transparency  bool // in a tRNS chunk
	level         int  // of compression, as compress/zlib numbers them
	chunk         int  // bytes in an IDAT chunk, 0 for all
	noise         int  // of 256 samples so many are any, others are those before them
	seed          uint64
}

func (f pngForm) String() string {
	return fmt.Sprintf("%dx%d colour=%d depth=%d interlaced=%t filter=%d transparency=%t level=%d chunk=%d noise=%d seed=%d",
		f.width, f.height, f.colour, f.depth, f.interlaced, f.filter, f.transparency, f.level, f.chunk, f.noise, f.seed)
}

func pngChunk(file []byte, kind string, content []byte) []byte {
	file = binary.BigEndian.AppendUint32(file, uint32(len(content)))
	at := len(file)
	file = append(append(file, kind...), content...)
	return binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(file[at:]))
}

const pngSignature = "\x89PNG\r\n\x1a\n"

func pngHeader(width, height uint32, depth, colour, interlaced int) []byte {
	b := binary.BigEndian.AppendUint32(nil, width)
	b = binary.BigEndian.AppendUint32(b, height)
	return append(b, byte(depth), byte(colour), 0, 0, byte(interlaced))
}

func (f pngForm) file() []byte {
	r := rand.New(rand.NewPCG(f.seed, 3))
	bit := map[bool]int{true: 1}
	file := pngChunk([]byte(pngSignature), "IHDR", pngHeader(uint32(f.width), uint32(f.height), f.depth, f.colour, bit[f.interlaced]))
	channels := pngChannels[f.colour]
	colours := min(1<<f.depth, 1+r.IntN(256))
	if f.colour == paletted {
		palette := make([]byte, 3*colours)
		fill(r, palette)
		file = pngChunk(file, "PLTE", palette)
	}
	if f.transparency {
		file = pngChunk(file, "tRNS", f.transparent(r, channels, colours))
	}
	var raw bytes.Buffer
	for _, pass := range f.passes() {
		columns, rows := (f.width-pass[0]+pass[2]-1)/pass[2], (f.height-pass[1]+pass[3]-1)/pass[3]
		if f.width > pass[0] && f.height > pass[1] {
			f.rows(r, &raw, columns, rows, channels, colours)
		}
	}
	var compressed bytes.Buffer
	z, err := zlib.NewWriterLevel(&compressed, f.level)
	if err != nil {
		panic(err)
	}
	if _, err := z.Write(raw.Bytes()); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	for left := compressed.Bytes(); len(left) > 0; {
		n := len(left)
		if f.chunk > 0 {
			n = min(n, f.chunk)
		}
		file = pngChunk(file, "IDAT", left[:n])
		left = left[n:]
	}
	return pngChunk(file, "IEND", nil)
}

func (f pngForm) passes() [][4]int {
	if !f.interlaced {
		return [][4]int{{0, 0, 1, 1}}
	}
	return [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func (f pngForm) transparent(r *rand.Rand, channels, colours int) []byte {
	if f.colour == paletted {
		b := make([]byte, 1+r.IntN(colours))
		fill(r, b)
		return b
	}
	b := make([]byte, 0, 2*channels)
	for range channels {
		// Often 0, with which rows begin, so that it occurs.
		b = binary.BigEndian.AppendUint16(b, uint16(r.IntN(2)*r.IntN(1<<f.depth)))
	}
	return b
}

// rows writes filtered rows of random samples.
func (f pngForm) rows(r *rand.Rand, to *bytes.Buffer, columns, rows, channels, colours int) {
	step := max(1, f.depth*channels/8)
	before := make([]byte, (columns*channels*f.depth+7)/8)
	values := make([]uint32, channels)
	for y := range rows {
		row := make([]byte, len(before))
		for x := range columns * channels {
			v := &values[x%channels]
			if r.IntN(256) < f.noise {
				*v = uint32(r.IntN(1 << f.depth))
				if f.colour == paletted {
					*v = uint32(r.IntN(colours))
				}
			}
			switch f.depth {
			case 16:
				binary.BigEndian.PutUint16(row[2*x:], uint16(*v))
			default:
				row[x*f.depth/8] |= byte(*v << (8 - f.depth - x*f.depth%8))
			}
		}
		filter := f.filter
		if filter > 4 {
			filter = y % 5
		}
		to.WriteByte(byte(filter))
		for i, v := range row {
			var left, corner byte
			if i >= step {
				left, corner = row[i-step], before[i-step]
			}
			to.WriteByte(v - predicted(filter, left, before[i], corner))
		}
		before = row
	}
}

func predicted(filter int, left, up, corner byte) byte {
	switch filter {
	case 1:
		return left
	case 2:
		return up
	case 3:
		return byte((int(left) + int(up)) / 2)
	case 4:
		estimate := int(left) + int(up) - int(corner)
		distance := func(v byte) int { return max(int(v)-estimate, estimate-int(v)) }
		switch {
		case distance(left) <= distance(up) && distance(left) <= distance(corner):
			return left
		case distance(up) <= distance(corner):
			return up
		}
		return corner
	}
	return 0
}

// photo makes an image that compresses like a photograph: smooth areas, edges
// and a little noise, the same for every seed on every machine.
func photo(seed uint64, width, height int) picture {
	r := rand.New(rand.NewPCG(seed, 4))
	p := newPicture(width, height)
	for y := range height {
		for x := range width {
			disc := (x-width/2)*(x-width/2)+(y-height/2)*(y-height/2) < width*height/int(9+seed%8)
			c := []byte{byte(x * 200 / width), byte(y * 200 / height), byte((x + y) * 100 / (width + height)), 255}
			if disc {
				c[int(seed%3)] = 230
			}
			for i := range 3 {
				c[i] += byte(r.IntN(4))
			}
			copy(p.at(x, y), c)
		}
	}
	return p
}

// png is the image as the standard library writes it.
func (p picture) png() []byte {
	var b bytes.Buffer
	img := &image.NRGBA{Pix: p.rgba, Stride: 4 * p.width, Rect: image.Rect(0, 0, p.width, p.height)}
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}
