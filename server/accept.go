package server

import (
	"mime"
	"strconv"
	"strings"
)

// form is how an answer is written.
type form uint8

const (
	formNone form = iota
	formRaw
	formMultipart
	formJSON
)

const (
	typeJSON      = "application/json"
	typeMultipart = "multipart/mixed"
	typeBytes     = "application/octet-stream"
	typeText      = "text/plain; charset=utf-8"
)

// accepted is the media ranges of an Accept header. Without one, and with the
// plain "*/*" of most clients, it is empty and everything is welcome.
type accepted []mediaRange

type mediaRange struct {
	typ, subtype string // "*" for any
	quality      int    // thousandths
}

// parseAccept reads Accept headers. Elements that can't be read are left out.
func parseAccept(values []string) accepted {
	switch len(values) {
	case 0:
		return nil
	case 1:
		if values[0] == "*/*" || values[0] == "" {
			return nil
		}
	}
	a := make(accepted, 0, 4)
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			typ, params, err := mime.ParseMediaType(element)
			if err != nil {
				continue
			}
			r := mediaRange{quality: 1000}
			var ok bool
			if r.typ, r.subtype, ok = strings.Cut(typ, "/"); !ok {
				continue
			}
			if q, has := params["q"]; has {
				if r.quality, ok = parseQuality(q); !ok {
					continue
				}
			}
			a = append(a, r)
		}
	}
	return a
}

// parseQuality reads a weight from 0 to 1 with at most three decimals.
func parseQuality(s string) (int, bool) {
	if len(s) == 0 || len(s) > 5 || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1 {
		return 0, false
	}
	return int(f*1000 + 0.5), true
}

// rank says how welcome a content type is: 0 is not at all, and of two ranks
// the higher one is preferred, by quality and then by how exactly the type is
// named.
func (a accepted) rank(contentType string) int {
	if a == nil {
		return 1
	}
	typ, subtype := splitType(contentType)
	best, exactness := mediaRange{}, 0
	for _, r := range a {
		e := 0
		switch {
		case r.typ == typ && r.subtype == subtype:
			e = 3
		case r.typ == typ && r.subtype == "*":
			e = 2
		case r.typ == "*" && r.subtype == "*":
			e = 1
		}
		if e > exactness {
			best, exactness = r, e
		}
	}
	if exactness == 0 || best.quality == 0 {
		return 0
	}
	return best.quality*4 + exactness
}

// wildcard is the rank of what no range names.
func (a accepted) wildcard() int {
	for _, r := range a {
		if r.typ == "*" && r.subtype == "*" && r.quality > 0 {
			return r.quality*4 + 1
		}
	}
	return 0
}

func splitType(contentType string) (typ, subtype string) {
	bare, _, _ := strings.Cut(contentType, ";")
	typ, subtype, _ = strings.Cut(strings.ToLower(strings.TrimSpace(bare)), "/")
	return typ, subtype
}

// choose picks the most welcome form for an answer whose raw content type is
// raw, or "" if it has no raw form. Of equally welcome ones it is the raw
// form, then multipart.
func (a accepted) choose(raw string) form {
	best, chosen := 0, formNone
	if raw != "" {
		// Who asks for JSON wants the sets, also of a function that gives JSON.
		if typ, subtype := splitType(raw); a == nil || typ+"/"+subtype != typeJSON {
			best = a.rank(raw)
		} else {
			best = a.wildcard()
		}
		if best > 0 {
			chosen = formRaw
		}
	}
	if r := a.rank(typeMultipart); r > best {
		best, chosen = r, formMultipart
	}
	if r := a.rank(typeJSON); r > best {
		chosen = formJSON
	}
	return chosen
}
