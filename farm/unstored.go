package farm

import (
	"bufio"
	"net"
	"net/http"
	"strings"
)

// unstored is a ResponseWriter whose answer no cache keeps, and no client compares with another one.
type unstored struct {
	http.ResponseWriter
	begun bool
}

// begin sets the fields of the header, once.
func (u *unstored) begin() {
	if u.begun {
		return
	}
	u.begun = true
	h := u.Header()
	h.Set("Cache-Control", "no-store")
	for _, name := range []string{"Etag", "Last-Modified", "Expires", "Surrogate-Control", "X-Accel-Expires"} {
		h.Del(name)
	}
	for name := range h { // such as CDN-Cache-Control, which its cache heeds in place of the other
		if strings.HasSuffix(name, "-Cache-Control") {
			h.Del(name)
		}
	}
}

// WriteHeader implements http.ResponseWriter.
func (u *unstored) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		u.begin()
	}
	u.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (u *unstored) Write(b []byte) (int, error) {
	u.begin()
	return u.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (u *unstored) Flush() { u.FlushError() }

// FlushError is Flush for an http.ResponseController.
func (u *unstored) FlushError() error {
	u.begin()
	return http.NewResponseController(u.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker.
func (u *unstored) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(u.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (u *unstored) Unwrap() http.ResponseWriter { return u.ResponseWriter }
