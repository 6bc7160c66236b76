package lines

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// version4 is a table of version 4 that has files in a directory, and a program.
func version4(directory string, files []string, program []byte) []byte {
	header := []byte{1, 1, 1, 1, 1, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1}
	if directory != "" {
		header = append(append(header, directory...), 0)
	}
	header = append(header, 0)
	for _, name := range files {
		header = append(append(header, name...), 0, 1, 0, 0)
	}
	header = append(header, 0)
	unit := binary.LittleEndian.AppendUint32([]byte{4, 0}, uint32(len(header)))
	unit = append(append(unit, header...), program...)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(unit))), unit...)
}

// row1 is a program's row of a file, one address after the last one.
func row1(program []byte, file int) []byte {
	return append(binary.AppendUvarint(append(program, opSetFile), uint64(file)), opCopy, opAdvancePC, 1)
}

// A file beyond those that are named is looked at once, however many rows it has.
func TestRowsOfFilesWithoutName(t *testing.T) {
	var (
		files   []string
		program []byte
	)
	for i := range maxFiles + 1 {
		files = append(files, fmt.Sprintf("%x", i))
		program = row1(program, i+1)
	}
	program = append(program, 0, 1, extEndSequence)
	// The last file has rows only.
	read := func(rows int) (*reader, []byte) {
		program := append([]byte(nil), program...)
		for range rows {
			program = append(program, opCopy)
		}
		line := version4("", files, append(program, 0, 1, extEndSequence))
		r := &reader{s: Sections{Line: line}, end: 1 << 30, names: map[string]int32{}, table: &Table{}, paths: maxPaths}
		r.unit(cursor{b: line[4:]})
		return r, line
	}
	few, _ := read(0)
	many, line := read(MaxRows / 2)
	if len(many.names) != maxFiles || many.paths != few.paths {
		t.Errorf("%d names; %d bytes are left for paths, and %d with more rows", len(many.names), few.paths, many.paths)
	}
	table := Read(Sections{Line: line}, 0, 1<<30)
	if _, ok := table.At(maxFiles); ok {
		t.Error("a file too many has a name")
	}
	if p, ok := table.At(maxFiles - 1); !ok || p.File != files[maxFiles-1] {
		t.Errorf("the last one before is %+v, %t", p, ok)
	}
}

// The work for paths is bounded over all units, whatever they name.
func TestPathsAreBounded(t *testing.T) {
	var (
		files   []string
		program []byte
		line    []byte
	)
	for i := range 1 << 15 {
		files = append(files, string(rune('a'+i%20)))
		program = row1(program, i+1)
	}
	unit := version4(strings.Repeat("a/../", 51), files, append(program, 0, 1, extEndSequence))
	for len(line)+len(unit) < MaxSize {
		line = append(line, unit...)
	}
	r := &reader{s: Sections{Line: line}, end: 1 << 30, names: map[string]int32{}, table: &Table{}, paths: pathsOf(len(line))}
	for rest := line; len(rest) > 0; rest = rest[len(unit):] {
		r.unit(cursor{b: rest[4:len(unit)]})
	}
	if r.paths > 0 || r.paths < -maxName-maxName-fileCost {
		t.Errorf("of %d bytes for paths %d are left", pathsOf(len(line)), r.paths)
	}
	if len(r.table.rows) == 0 || r.table.rows[len(r.table.rows)-2].file != -1 {
		t.Error("the last file has a name")
	}
}

// What a table holds is at most what it costs.
func TestCost(t *testing.T) {
	var dense, named []byte
	for range 1 << 17 {
		dense = append(dense, 11) // a row at the next address
	}
	var files []string
	for i := range 2000 {
		files = append(files, fmt.Sprintf("%d/", i)+strings.Repeat("x", 200))
		named = row1(named, i+1)
	}
	for name, line := range map[string][]byte{
		"rows":  version4("", []string{"a"}, append(dense, 0, 1, extEndSequence)),
		"names": version4(strings.Repeat("d", 200), files, append(named, 0, 1, extEndSequence)),
	} {
		table := Read(Sections{Line: line}, 0, 1<<30)
		held := int64(cap(table.rows) * rowSize)
		for _, f := range table.files {
			held += int64(len(f)) + fileCost
		}
		if len(table.rows) == 0 || len(table.files) == 0 || held > Cost(len(line)) {
			t.Errorf("%s: %d rows and %d files, %d bytes; they cost %d", name, len(table.rows), len(table.files), held, Cost(len(line)))
		}
	}
}
