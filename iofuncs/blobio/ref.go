package blobio

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"pappus/data"
)

// What a ref may have.
const (
	maxHead   = 16 << 10 // bytes
	maxFields = 100
	maxKey    = 1024 // bytes, as S3 has it
)

// use is what a ref is for, which says what may stand in it.
type use int

const (
	forGet use = iota
	forPut
	forList
)

// ref is what an item of refs or prefixes says.
type ref struct {
	bucket string
	key    string // or a prefix, for a list; for a put it may end with a slash

	ifMatch, ifNoneMatch string // ETags, the second anyBlob for a put; "": no condition
	part                 span
	missing              string // what becomes of a ref that gives no blob

	contentType string

	delimiter, after string
	limit            int // 0: not said
}

// What the field Missing may say.
const (
	missingFault = "fault"
	missingSkip  = "skip"
	missingEmpty = "empty"
)

// anyBlob stands for every ETag.
const anyBlob = "*"

// span is a range of bytes, as HTTP has it.
type span struct {
	asked  bool
	suffix bool  // the last length bytes
	start  int64 // unless suffix
	length int64 // -1: to the end
}

// errSpan is that a range has no byte of a blob.
var errSpan = errors.New("the blob has no byte of this range")

// within is where the range lies in a blob of some size.
func (s span) within(size int64) (start, length int64, err error) {
	switch {
	case !s.asked:
		return 0, size, nil
	case s.suffix:
		n := min(s.length, size)
		return size - n, n, nil
	case s.start >= size:
		return 0, 0, errSpan
	case s.length < 0:
		return s.start, size - s.start, nil
	}
	return s.start, min(s.length, size-s.start), nil
}

// String is the range as a field has it.
func (s span) String() string {
	switch {
	case s.suffix:
		return fmt.Sprintf("bytes=-%d", s.length)
	case s.length < 0:
		return fmt.Sprintf("bytes=%d-", s.start)
	}
	return fmt.Sprintf("bytes=%d-%d", s.start, s.start+s.length-1)
}

func parseSpan(text string) (span, error) {
	bad := fmt.Errorf("%.40q is not a range like bytes=0-99, bytes=100- or bytes=-100", text)
	rest, ok := strings.CutPrefix(text, "bytes=")
	from, to, dash := strings.Cut(rest, "-")
	if !ok || !dash {
		return span{}, bad
	}
	number := func(text string) (int64, bool) {
		n, err := strconv.ParseUint(text, 10, 63)
		return int64(n), err == nil //nolint:gosec // 63 bits
	}
	if from == "" {
		n, ok := number(to)
		if !ok || n == 0 {
			return span{}, bad
		}
		return span{asked: true, suffix: true, length: n}, nil
	}
	start, ok := number(from)
	if !ok {
		return span{}, bad
	}
	if to == "" {
		return span{asked: true, start: start, length: -1}, nil
	}
	end, ok := number(to)
	if !ok || end < start || end == math.MaxInt64 {
		return span{}, bad
	}
	return span{asked: true, start: start, length: end - start + 1}, nil
}

// parseRef reads an item: a line BUCKET/KEY, and lines name:value. The last line
// needs no end; an empty line may follow, and nothing more.
func parseRef(content []byte, what use) (*ref, error) {
	if len(content) > maxHead {
		return nil, fmt.Errorf("it has %d bytes; the most is %d: the content of a blob goes into a set of its own", len(content), maxHead)
	}
	line, rest := nextLine(content)
	bucket, key, ok := strings.Cut(line, "/")
	if !ok || bucket == "" {
		return nil, fmt.Errorf("the first line %.80q is not BUCKET/KEY", line)
	}
	if !LegalBucket(bucket) {
		return nil, fmt.Errorf("%.80q is not the name of a bucket", bucket)
	}
	r := &ref{bucket: bucket, key: key, missing: missingFault}
	var err error
	switch {
	case what == forList:
		err = checkPrefix(key)
	case what == forPut && (key == "" || strings.HasSuffix(key, "/")):
		err = checkPrefix(key)
	default:
		err = checkKey(key)
	}
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for len(rest) > 0 {
		if line, rest = nextLine(rest); line == "" {
			if len(rest) > 0 {
				return nil, errors.New("something follows the empty line that ends it")
			}
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %d: %.80q is not name:value", len(seen)+2, line)
		}
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		if seen[name] {
			return nil, fmt.Errorf("the field %.40s is there twice", name)
		}
		if seen[name] = true; len(seen) > maxFields {
			return nil, fmt.Errorf("it has more than %d fields", maxFields)
		}
		if err := r.set(name, value, what); err != nil {
			return nil, fmt.Errorf("the field %.40s: %w", name, err)
		}
	}
	return r, nil
}

// nextLine takes a line from the beginning of content.
func nextLine(content []byte) (line string, rest []byte) {
	before, rest, _ := bytes.Cut(content, []byte{'\n'})
	return strings.TrimSuffix(string(before), "\r"), rest
}

// set takes a field. Names are in lower case.
func (r *ref) set(name, value string, what use) (err error) {
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7F }) {
		return errors.New("its value has control characters")
	}
	type field struct {
		name string
		use  use
	}
	switch (field{name, what}) {
	case field{"range", forGet}:
		r.part, err = parseSpan(value)
	case field{"missing", forGet}:
		if value != missingFault && value != missingSkip && value != missingEmpty {
			return fmt.Errorf("%.40q is not %s, %s or %s", value, missingFault, missingSkip, missingEmpty)
		}
		r.missing = value
	case field{"if-match", forGet}, field{"if-match", forPut}:
		r.ifMatch, err = parseETag(value)
	case field{"if-none-match", forGet}:
		r.ifNoneMatch, err = parseETag(value)
	case field{"if-none-match", forPut}:
		if value != anyBlob {
			return errors.New("what is put can have * there only: no blob may have this key")
		}
		r.ifNoneMatch = value
	case field{"content-type", forPut}:
		if value == "" || len(value) > 256 || strings.ContainsFunc(value, func(c rune) bool { return c >= 0x7F }) {
			return errors.New("it is empty, longer than 256 bytes, or has characters beyond ASCII")
		}
		r.contentType = value
	case field{"delimiter", forList}:
		if value == "" || len(value) > maxKey {
			return fmt.Errorf("it is empty, or longer than %d bytes", maxKey)
		}
		r.delimiter = value
	case field{"after", forList}:
		r.after, err = value, checkKey(value)
	case field{"limit", forList}:
		if r.limit, err = strconv.Atoi(value); err != nil || r.limit < 1 {
			return fmt.Errorf("%.40q is not a number above 0", value)
		}
	case field{"etag", what}, field{"size", what}, field{"outcome", what}:
		// What results say of a blob, so that they can be refs.
	default:
		return errors.New("there is no such field here; docs/io.md lists them")
	}
	if err == nil && r.ifMatch != "" && r.ifNoneMatch != "" {
		err = errors.New("a ref has If-Match or If-None-Match, not both")
	}
	return err
}

// parseETag reads one ETag.
func parseETag(text string) (string, error) {
	const most = 1024
	inner, ok := strings.CutPrefix(text, `"`)
	inner, end := strings.CutSuffix(inner, `"`)
	if !ok || !end || inner == "" || len(text) > most || strings.ContainsFunc(inner, func(c rune) bool { return c == '"' || c <= ' ' || c >= 0x7F }) {
		return "", fmt.Errorf(`%.40q is not one ETag in quotes, like "5d41402a"; weak ones and lists are not taken`, text)
	}
	return text, nil
}

// holds reports whether a ref's conditions hold for a blob with this ETag; "": there
// is none.
func (r *ref) holds(etag string) bool {
	switch {
	case r.ifMatch != "":
		return r.ifMatch == etag
	case r.ifNoneMatch == anyBlob:
		return etag == ""
	case r.ifNoneMatch != "":
		return r.ifNoneMatch != etag
	}
	return true
}

// LegalBucket reports whether a text can be the name of a bucket: 1 to 64 letters,
// digits, '.', '_' and '-', beginning with a letter or digit.
func LegalBucket(name string) bool {
	const most = 64
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// escapes is how drivers begin what they write for characters that they can't bear.
const escapes = "__0x"

// checkKey accepts keys that mean the same with every driver, and are names of items.
func checkKey(key string) error {
	if key == "" {
		return errors.New("the key is empty; the first line is BUCKET/KEY")
	}
	if err := checkText("key", key); err != nil {
		return err
	}
	for part := range strings.SplitSeq(key, "/") {
		switch part {
		case "":
			return fmt.Errorf("the key %.80q begins or ends with a slash, or has two in a row", key)
		case ".", "..":
			return fmt.Errorf("the key %.80q has %q between slashes", key, part)
		}
	}
	return nil
}

// checkPrefix accepts what keys can begin with.
func checkPrefix(prefix string) error {
	if err := checkText("prefix", prefix); err != nil {
		return err
	}
	if strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") {
		return fmt.Errorf("no key begins with %.80q: it begins with a slash, or has two in a row", prefix)
	}
	parts := strings.Split(prefix, "/")
	for _, part := range parts[:len(parts)-1] {
		if part == "." || part == ".." {
			return fmt.Errorf("the prefix %.80q has %q between slashes", prefix, part)
		}
	}
	return nil
}

func checkText(what, text string) error {
	if len(text) > maxKey {
		return fmt.Errorf("the %s has %d bytes; the most is %d", what, len(text), maxKey)
	}
	bad := new(data.NameError)
	if err := data.CheckItemName(text); errors.As(err, &bad) {
		return fmt.Errorf("the %s %.80q %s", what, text, bad.Reason)
	}
	if strings.Contains(text, escapes) {
		return fmt.Errorf("the %s %.80q has %s in it, by which other characters are written", what, text, escapes)
	}
	return nil
}
