package forward

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// What an open gate adds to a request: compare with nothing at all.
func BenchmarkGate_Here(b *testing.B) {
	f := newFakeFarm(b)
	a := f.add("a", Config{}, text("a"))
	a.gate.Admit()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		a.gate.serveClient(&sink{make(http.Header)}, r)
	}
}

func BenchmarkGate_None(b *testing.B) {
	h := text("a")
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		h.ServeHTTP(&sink{make(http.Header)}, r)
	}
}

// One hop over loopback TCP, without TLS and without the client's own connection.
func BenchmarkGate_Forwarded(b *testing.B) {
	f := newFakeFarm(b)
	a := f.add("a", Config{}, never(b))
	c := f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "b")
	}))
	c.gate.Admit()
	a.sees("b")
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		a.gate.serveClient(&sink{make(http.Header)}, r)
	}
}
