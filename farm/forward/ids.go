package forward

import (
	"math/rand/v2"
	"net/http"
	"strings"
)

// idHeader holds the id of a request.
const idHeader = "X-Request-Id"

// settleID sees to it that a request has an id, and returns it: the one that came, if it is harmless, or a
// new one.
func settleID(h http.Header) string {
	if lines := h[idHeader]; len(lines) == 1 && validID(lines[0]) {
		return lines[0]
	}
	id := newID()
	h[idHeader] = []string{id}
	return id
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

// newID returns the id of a request: 26 letters and digits, 130 random bits. It is told apart and never a
// secret, so the generator of math/rand will do, which asks the system for nothing.
func newID() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [26]byte
	var bits uint64
	for i := range b {
		if i%12 == 0 {
			bits = rand.Uint64()
		}
		b[i] = letters[bits&31]
		bits >>= 5
	}
	return string(b[:])
}

// newTrace returns a traceparent of a new trace, with the flag of level 2 that says that its id is random. It
// is not sampled: whether anything is recorded is for who records.
func newTrace() string {
	b := [55]byte{0: '0', 1: '0', 2: '-', 35: '-', 52: '-', 53: '0', 54: '2'}
	randomHex(b[3:19])
	randomHex(b[19:35])
	randomHex(b[36:52])
	return string(b[:])
}

// randomHex fills p, of 16 bytes, with hexadecimal digits that are not all 0.
func randomHex(p []byte) {
	const digits = "0123456789abcdef"
	bits := rand.Uint64()
	for bits == 0 {
		bits = rand.Uint64()
	}
	for i := range p {
		p[i] = digits[bits&15]
		bits >>= 4
	}
}
