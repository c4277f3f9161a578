package content

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// partsWanted returns the byte ranges that a request is for, as http.ServeContent reads them, or "" if it is for the
// whole: it names another unit, which is to be ignored (RFC 9110, 14.2); or it has a part of another representation
// than that with the tag; or it is empty, so that there are no bytes to name. Whether there are such ranges is not
// looked at. One of the last zero bytes is none.
func partsWanted(r *http.Request, tag string, size int64) string {
	if size == 0 || r.Method != http.MethodGet || len(r.Header["Range"]) != 1 {
		return ""
	}
	if m := r.Header["If-Range"]; len(m) > 0 && (len(m) > 1 || m[0] != tag) {
		return ""
	}
	unit, set, ok := strings.Cut(r.Header["Range"][0], "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return ""
	}
	specs := strings.Split(set, ",")
	for i, spec := range specs {
		first, last, ok := strings.Cut(spec, "-")
		first, last = bounded(first), bounded(last)
		switch {
		case !ok:
		case first == "" && last == "0":
			specs[i] = furthest + "-" // which no file has
		default:
			specs[i] = first + "-" + last
		}
	}
	return "bytes=" + strings.Join(specs, ",")
}

// furthest is a position that is beyond each file, and that http.ServeContent reads.
const furthest = "9223372036854775807"

// bounded returns a position without zeros and blanks around it, and furthest for one that has more digits: a range
// may go beyond the end (RFC 9110, 14.1.2). What is none stays.
func bounded(position string) string {
	position = strings.Trim(position, " \t")
	n, err := strconv.ParseInt(position, 10, 64)
	switch {
	case strings.HasPrefix(position, "-"):
	case err == nil:
		return strconv.FormatInt(n, 10)
	case errors.Is(err, strconv.ErrRange):
		return furthest
	}
	return position
}

// serveRange sends parts of the representation that was chosen: of the compressed one too, whose entity tag is its
// own. All conditions of the request are met.
func (s *Site) serveRange(w http.ResponseWriter, parts string, e *entry, p *rep) {
	data, f, err := s.open(p)
	if err != nil {
		s.failed(w, e, err)
		return
	}
	var content io.ReadSeeker = bytes.NewReader(data)
	if f != nil {
		defer f.Close()
		content = f
	}
	r := &http.Request{Method: http.MethodGet, Header: http.Header{"Range": {parts}}}
	http.ServeContent(w, r, "", s.release.Activated, content)
}
