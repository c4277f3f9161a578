package content

import (
	"bytes"
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
		last, suffix := strings.CutPrefix(strings.Trim(spec, " \t"), "-")
		if n, err := strconv.ParseInt(strings.Trim(last, " \t"), 10, 64); suffix && err == nil && n == 0 {
			specs[i] = beyond
		}
	}
	return "bytes=" + strings.Join(specs, ",")
}

// beyond is a range that no file has.
const beyond = "9223372036854775807-"

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
