package content

import (
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// precondition is what the conditions of a request say of what would be sent (RFC 9110, 13.2.2): 0 to go on,
// or the status 304 or 412.
func precondition(r *http.Request, etag string, modified time.Time) int {
	h := r.Header
	if match := h["If-Match"]; len(match) > 0 {
		if !listsTag(match, etag, true) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := date(h, "If-Unmodified-Since"); ok && !modified.IsZero() && modified.After(since) {
		return http.StatusPreconditionFailed
	}
	if match := h["If-None-Match"]; len(match) > 0 {
		if listsTag(match, etag, false) {
			return http.StatusNotModified
		}
	} else if since, ok := date(h, "If-Modified-Since"); ok && !modified.IsZero() && !modified.After(since) {
		return http.StatusNotModified
	}
	return 0
}

func date(h http.Header, name string) (time.Time, bool) {
	v := h[name]
	if len(v) != 1 || v[0] == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(v[0])
	return t, err == nil
}

// listsTag reports whether lines list a strong entity tag, or are *. Compared weakly, a weak tag in them
// counts as well.
func listsTag(lines []string, etag string, strong bool) bool {
	for _, line := range lines {
		for line = textproto.TrimString(line); line != ""; line = strings.TrimLeft(line, ", \t") {
			if line[0] == '*' {
				return true
			}
			bare, weak := strings.CutPrefix(line, "W/")
			end := -1
			if len(bare) > 1 && bare[0] == '"' {
				end = strings.IndexByte(bare[1:], '"')
			}
			if end < 0 {
				break // no list of tags
			}
			if bare[:end+2] == etag && !(weak && strong) {
				return true
			}
			line = bare[end+2:]
		}
	}
	return false
}
