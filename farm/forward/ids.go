package forward

import (
	"math/rand/v2"
	"net/http"
	"strings"
)

// idHeader holds the id of a request.
const idHeader = "X-Request-Id"

// settle sees to it that a request has an id and belongs to a trace, and tells the pass: what came, if that is
// harmless and valid, or something new.
func (p *pass) settle(h http.Header, trusted bool) {
	if !p.asksNo.trace {
		p.Trace = keptTrace(h)
	}
	if trusted { // nobody else's is left
		if lines := h[idHeader]; len(lines) == 1 && validID(lines[0]) {
			p.ID = lines[0]
		}
	}
	if p.ID != "" && p.Trace != "" {
		return
	}
	fresh := newIDs()
	if p.ID == "" {
		p.ID = fresh[:idLength]
		p.lines[0] = p.ID
		h[idHeader] = p.lines[0:1:1]
	}
	if p.Trace == "" {
		p.lines[1] = fresh[idLength:]
		if !p.asksNo.trace {
			delete(h, stateHeader) // it belongs to the traceparent that was not valid, or to none
		}
		h[traceHeader], p.Trace = p.lines[1:2:2], p.lines[1][3:35]
	}
}

// validID reports whether a proxy's request id may be passed on: into logs, headers and pages.
func validID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-_.:/+=@~", rune(c)) {
			return false
		}
	}
	return true
}

const (
	idLength    = 26
	traceLength = 55
)

// newIDs returns the id of a request and behind it a traceparent, in one allocation.
func newIDs() string {
	var b [idLength + traceLength]byte
	putID(b[:idLength])
	putTrace(b[idLength:])
	return string(b[:])
}

// putID writes the id of a request: 26 letters and digits, 130 random bits. It is told apart and never a
// secret, so the generator of math/rand will do, which asks the system for nothing.
func putID(b []byte) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var bits uint64
	for i := range b {
		if i%12 == 0 {
			bits = rand.Uint64()
		}
		b[i] = letters[bits&31]
		bits >>= 5
	}
}

// newTrace returns a traceparent of a new trace, with the flag of level 2 that says that its id is random. It
// is not sampled: whether anything is recorded is for who records.
func newTrace() string {
	var b [traceLength]byte
	putTrace(b[:])
	return string(b[:])
}

func putTrace(b []byte) {
	copy(b, "00-")
	randomHex(b[3:19])
	randomHex(b[19:35])
	b[35] = '-'
	randomHex(b[36:52])
	copy(b[52:], "-02")
}

// randomHex fills p, of 16 bytes, with hexadecimal digits that are not all 0.
func randomHex(p []byte) {
	const digits = "0123456789abcdef"
	bits := rand.Uint64()
	for bits == 0 {
		bits = rand.Uint64()
	}
	_ = p[15]
	for i := 0; i < 16; i += 2 {
		p[i], p[i+1] = digits[bits&15], digits[bits>>4&15]
		bits >>= 8
	}
}
