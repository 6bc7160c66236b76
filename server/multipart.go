package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/textproto"
	"strings"

	"pappus/internal/multiparts"
	"pappus/server/problem"
)

// keyHeader carries an item's key in a part of a multipart body.
const keyHeader = "Pappus-Key"

// readMultipart takes the sets out of a multipart/form-data body: a part is an
// item, its name the set, its file name the item's name (empty without one),
// the header Pappus-Key its key (0 without one). Names are quoted strings with
// " and \ escaped, in plain UTF-8, and are taken whole, folders included.
//
// Contents move to the front of body, over headers that have been read, and
// the items refer to them.
func readMultipart(body []byte, boundary string, into *collector) error {
	if err := checkClosed(body, boundary); err != nil {
		return err
	}
	parts := multiparts.NewReader(bytes.NewReader(body), boundary)
	free := body // where the next content goes: never beyond what the reader has taken
	for i := 0; ; i++ {
		part, err := parts.Next()
		if err == io.EOF { //nolint:errorlint // whatever else ends with it is not whole
			return nil
		}
		if err != nil {
			return located(partPath(i), "the part can't be read: "+err.Error())
		}
		p, err := readPartHeader(part.Header)
		if err != nil {
			return locate(err, partPath(i))
		}
		n, err := readFull(part, free)
		if err != nil {
			return located(partPath(i), "the part can't be read: "+err.Error())
		}
		set, _, err := into.set(p.set)
		if err == nil {
			err = into.add(set, p.item, p.key, free[:n:n])
		}
		if err != nil {
			return locate(err, partPath(i))
		}
		free = free[n:]
	}
}

// checkClosed refuses a body that does not end with its closing boundary: it
// was cut off, or something follows.
func checkClosed(body []byte, boundary string) error {
	closing := []byte("--" + boundary + "--")
	end := 0
	if !bytes.HasPrefix(body, closing) {
		if end = 1 + bytes.Index(body, append([]byte("\n"), closing...)); end == 0 {
			return problem.New(problem.BadBody, "the body does not end with the closing boundary "+string(closing))
		}
	}
	if len(bytes.TrimRight(body[end+len(closing):], " \t\r\n")) > 0 {
		return problem.New(problem.BadBody, "something follows the closing boundary "+string(closing))
	}
	return nil
}

func partPath(i int) string { return fmt.Sprintf("part[%d]", i) }

// readFull reads r to its end into the front of buf, which has room for it.
func readFull(r io.Reader, buf []byte) (int, error) {
	n := 0
	for {
		if n == len(buf) {
			var one [1]byte
			if m, err := r.Read(one[:]); m == 0 && err == io.EOF {
				return n, nil
			}
			return n, io.ErrShortBuffer
		}
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

type partHeader struct {
	set, item string
	key       uint32
}

// readPartHeader says which item a part is.
func readPartHeader(h textproto.MIMEHeader) (partHeader, error) {
	var p partHeader
	switch encoding := h.Get("Content-Transfer-Encoding"); encoding {
	case "", "binary", "8bit", "7bit":
	default:
		return p, problem.New(problem.BadBody, "Content-Transfer-Encoding "+quote(encoding)+" is not taken; send the bytes as they are")
	}
	params, err := formData(h)
	if err != nil {
		return p, err
	}
	p.set, p.item = params["name"], strings.Clone(params["filename"]) // which keeps nothing of the header
	switch keys := h[keyHeader]; len(keys) {
	case 0:
	case 1:
		if p.key, err = parseKey(keys[0]); err != nil {
			return p, problem.New(problem.BadBody, keyHeader+" "+err.Error())
		}
	default:
		return p, problem.New(problem.BadBody, keyHeader+" appears twice")
	}
	return p, nil
}

// formData reads the parameters of a part's Content-Disposition.
func formData(h textproto.MIMEHeader) (map[string]string, error) {
	values := h["Content-Disposition"]
	if len(values) != 1 {
		return nil, problem.New(problem.BadBody, `the part needs one header Content-Disposition: form-data; name="SET"; filename="ITEM"`)
	}
	disposition, params, err := mime.ParseMediaType(values[0])
	if err == nil && disposition != "form-data" {
		err = errors.New("it is not form-data")
	}
	if _, ok := params["name"]; err == nil && !ok {
		err = errors.New("it has no name")
	}
	if err != nil {
		return nil, problem.New(problem.BadBody, "Content-Disposition can't be read: "+err.Error())
	}
	return params, nil
}
