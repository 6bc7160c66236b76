package samples_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// What the samples do, once more in Go: expected outputs come from here.

// matrix is a matmul item: the number of rows, then the values.
func matrix(rows int64, values ...int64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(rows))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// randomMatrix is the same for every seed on every machine.
func randomMatrix(seed uint64, rows, cols int64, limit int64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	values := make([]int64, rows*cols)
	for i := range values {
		values[i] = r.Int64N(2*limit) - limit
	}
	return matrix(rows, values...)
}

// timesTranspose is what matmul makes of an item that is a matrix.
func timesTranspose(item []byte) []byte {
	numbers := make([]int64, len(item)/8)
	for i := range numbers {
		numbers[i] = int64(binary.LittleEndian.Uint64(item[8*i:]))
	}
	rows, m := int(numbers[0]), numbers[1:]
	cols := len(m) / rows
	product := make([]int64, rows*rows)
	for row := range rows {
		for col := range rows {
			for k := range cols {
				product[row*rows+col] += m[row*cols+k] * m[col*cols+k]
			}
		}
	}
	return matrix(int64(rows), product...)
}

// timesPlus is what matmac makes of three items.
func timesPlus(a, b, c []byte) []byte {
	read := func(item []byte, i int) int64 { return int64(binary.LittleEndian.Uint64(item[8*i:])) }
	rows, inner := int(read(a, 0)), int(read(b, 0))
	cols := (len(b)/8 - 1) / inner
	values := make([]int64, rows*cols)
	for i := range rows {
		for j := range cols {
			values[i*cols+j] = read(c, 1+i*cols+j)
			for k := range inner {
				values[i*cols+j] += read(a, 1+i*inner+k) * read(b, 1+k*cols+j)
			}
		}
	}
	return matrix(int64(rows), values...)
}

// checksum is what matmul-size makes of n.
func checksum(n int) []byte {
	values := make([]int64, n*n)
	for i := range values {
		values[i] = int64(i + 1)
	}
	product := timesTranspose(matrix(int64(n), values...))
	var sum uint64
	for i := 8; i < len(product); i += 8 {
		sum += binary.LittleEndian.Uint64(product[i:])
	}
	return fmt.Appendf(nil, "%d\n", sum)
}

// wordCounts is what wordcount makes of texts.
func wordCounts(texts ...[]byte) []byte {
	counts := map[string]int{}
	for _, text := range texts {
		var word []byte
		end := func() {
			if len(word) > 0 {
				counts[string(word)]++
			}
			word = word[:0]
		}
		for len(text) > 0 {
			c, n := utf8.DecodeRune(text)
			text = text[n:]
			if c == utf8.RuneError && n == 1 || !isLetter(c) {
				end()
				continue
			}
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			word = utf8.AppendRune(word, c)
		}
		end()
	}
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	var out bytes.Buffer
	for _, w := range words {
		fmt.Fprintf(&out, "%s %d\n", w, counts[w])
	}
	return out.Bytes()
}

func isLetter(c rune) bool {
	switch {
	case c < utf8.RuneSelf:
		return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	case c < 0xC0:
		return strings.ContainsRune("ªµº", c)
	default:
		return c != '×' && c != '÷' && c != '\uFEFF' && (c < 0x2000 || c > 0x206F) && (c < 0x3000 || c > 0x303F)
	}
}

// occurrences is what sumoccurrence makes of a pattern and logs.
func occurrences(pattern string, logs ...[]byte) []byte {
	n := 0
	for _, log := range logs {
		n += bytes.Count(log, []byte(pattern))
	}
	return fmt.Appendf(nil, "%d\n", n)
}

// logFile makes the log of a server that does not exist: the same for every
// seed on every machine, addresses from the ranges kept for documentation.
func logFile(seed uint64, host string, lines int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	paths := []string{"/", "/login", "/api/v1/items", "/api/v1/items/%d", "/api/v1/orders/%d", "/static/app.js", "/healthz", "/search?q=%d"}
	now := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	for range lines {
		now = now.Add(time.Duration(1+r.IntN(90_000)) * time.Millisecond)
		fmt.Fprintf(&out, "%s %s ", now.Format("2006-01-02T15:04:05.000Z"), host)
		path := paths[r.IntN(len(paths))]
		if strings.Contains(path, "%d") {
			path = fmt.Sprintf(path, r.IntN(10_000))
		}
		client := fmt.Sprintf("203.0.113.%d", 1+r.IntN(254))
		took := time.Duration(r.ExpFloat64() * float64(20*time.Millisecond)).Round(time.Millisecond)
		switch p := r.IntN(1000); {
		case p < 12:
			fmt.Fprintf(&out, "ERROR upstream timed out after 5s client=%s path=%s\n", client, path)
		case p < 20:
			fmt.Fprintf(&out, "ERROR database: connection refused (198.51.100.%d:5432)\n", 1+r.IntN(4))
		case p < 60:
			fmt.Fprintf(&out, "WARN slow request client=%s path=%s took=%s\n", client, path, took+time.Second)
		case p < 90:
			fmt.Fprintf(&out, "INFO access client=%s method=GET path=%s status=404 bytes=162 took=%s\n", client, path, took)
		default:
			fmt.Fprintf(&out, "INFO access client=%s method=GET path=%s status=200 bytes=%d took=%s\n", client, path, 100+r.IntN(40_000), took)
		}
	}
	return out.Bytes()
}
