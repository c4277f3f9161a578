package parity

import (
	"bytes"
	"testing"
)

// FuzzRequestParity sends the same bytes to a node that serves by itself and to a front.
func FuzzRequestParity(f *testing.F) {
	app := &book{pages: make(map[string]*notes)}
	front := ways(f, app)[0]
	for _, seed := range []string{
		get("/a|b%2Fc;d/../e?f=%zz#g", "X-A: 1", "x-a: \t2 ", "X-B:"),
		get("/", "X-A: 1", " 2", "X-A: 3\nX-B: 4"),
		line1("OPTIONS * HTTP/1.1") + get("/2"),
		line1("GET http://u@other.example?x HTTP/1.0"),
		withLength("body", "Cookie: a=1", "TE: trailers"),
		post("/", chunked, "Content-Length: 4", "Trailer: X-End") + "4;e=f\r\nbody\r\n0\r\nX-End: 1\r\n\r\n",
		next("POST /1 HTTP/1.1", "Content-Length: 3") + "one" + next("PUT /2 HTTP/1.1",
			chunked) + "3\r\ntwo\r\n0\r\n\r\n",
		post("/", "Content-Length: 4", expect) + "body",
		req("GET /1 HTTP/1.0", "Connection: keep-alive") + req("GET /2 HTTP/1.0"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 || bytes.Contains(b, []byte("HEAD")) {
			return // where a body is left out, answers cannot be told apart
		}
		s := script{send: []string{string(b), "<fin>"}}
		direct, _ := s.run(t, app, front.direct)
		hops, _ := s.run(t, app, front.hops)
		if d := difference(direct.String(), hops.String()); d != "" {
			t.Error(d)
		}
	})
}
