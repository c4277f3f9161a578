package forward

import (
	"net/http"
	"strings"
)

// Headers of the W3C trace context.
const (
	traceHeader = "Traceparent"
	stateHeader = "Tracestate"
)

// settleTrace sees to it that a request belongs to a trace: it keeps the traceparent that came, if it is
// valid, and begins a trace otherwise. It returns the id of the trace. The farm records no spans, so it
// passes on what came as it came: its caller stays the parent of what the handler does.
func settleTrace(h http.Header) (id string) {
	if id := keptTrace(h); id != "" {
		return id
	}
	line := newTrace()
	delete(h, stateHeader) // it belongs to the traceparent that was not valid, or to none
	h[traceHeader] = []string{line}
	return line[3:35]
}

// keptTrace returns the id of the trace that came with a request; "" = none that is valid.
func keptTrace(h http.Header) (id string) {
	if lines := h[traceHeader]; len(lines) == 1 && validTrace(lines[0]) {
		return lines[0][3:35]
	}
	return ""
}

// validTrace reports whether a traceparent is valid by level 1 and 2 of the specification: four fields of
// lower-case hexadecimal digits, ids that are not all zero, a version that is not ff, and more fields in
// later versions alone.
func validTrace(s string) bool {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	if !isHex(version) || !isHex(trace) || !isHex(parent) || !isHex(flags) || version == "ff" {
		return false
	}
	if strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return false
	}
	return len(s) == length || version != "00" && s[length] == '-'
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
