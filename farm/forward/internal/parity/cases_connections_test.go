package parity

import (
	"io"
	"net/http"
)

// next is a request after which the connection goes on.
func next(l string, fields ...string) string {
	return req(append([]string{l, "Host: h"}, fields...)...)
}

const expect = "Expect: 100-continue"

var connections = []script{
	{name: "pipelined two", send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "200 200"},
	{name: "pipelined three with bodies", send: []string{next("POST /1 HTTP/1.1", "Content-Length: 3") + "one" +
		next("POST /2 HTTP/1.1", chunked) + "3\r\ntwo\r\n0\r\n\r\n" + withLength("three")}, want: "200 200 200"},
	{name: "pipelined behind HEAD", send: []string{next("HEAD /1 HTTP/1.1") + get("/2")},
		want: "200 200", heads: []bool{true, false}},
	{name: "pipelined behind a body that is not read", do: ignore,
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 4") + "body" + get("/2")}, want: "200 200"},
	{name: "pipelined behind a chunked body that is not read", do: ignore,
		send: []string{next("POST /1 HTTP/1.1", chunked) + "4\r\nbody\r\n0\r\n\r\n" + get("/2")}, want: "200 200"},
	{name: "pipelined behind a half read body", do: readSome(2),
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 4") + "body" + withLength("last")},
		want: "200 200"},
	{name: "pipelined behind a large body that is not read", do: ignore,
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 1048576") + large + get("/2")}, want: "200"},
	{name: "pipelined behind a bad request", send: []string{"G(T /1 HTTP/1.1\r\nHost: h\r\n\r\n" + get("/2")},
		want: "400"},
	{name: "pipelined bad request behind",
		send: []string{next("GET /1 HTTP/1.1") + "G(T /2 HTTP/1.1\r\nHost: h\r\n\r\n"}, want: "200 400"},
	{name: "pipelined behind close", send: []string{get("/1") + get("/2")}, want: "200"},
	{name: "pipelined behind a broken body",
		send: []string{next("POST /1 HTTP/1.1", chunked) + "zz\r\n" + get("/2")}, want: "200"},
	{name: "pipelined, smuggled body",
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 5", chunked) + "0\r\n\r\n" + get("/2")},
		want: "200 200"},
	{name: "pipelined with CRLF between",
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 4") + "body\r\n" + get("/2")}, want: "200 200"},
	{name: "pipelined behind 304 and 204",
		send: []string{next("GET /1 HTTP/1.1") + next("GET /2 HTTP/1.1") + get("/3")}, want: "204 204 204",
		do: status(204)},
	{name: "pipelined, handler says close", do: with("Connection", "close"),
		send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "200"},
	{name: "pipelined, answer has no length", do: with("Transfer-Encoding", "identity"),
		send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "200"},
	{name: "pipelined, answer too short", do: lengths("9", "four"),
		send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "200"},
	{name: "pipelined behind a panic", send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "",
		do: func(http.ResponseWriter, *http.Request, *run) { panic("first") }},
	{name: "pipelined behind 1 MiB", do: says(large), send: []string{next("GET /1 HTTP/1.1") + get("/2")},
		want: "200 200"},
	{name: "pipelined, limited body", do: limited(4),
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 9") + "too large" + get("/2")}, want: "413"},
	{name: "one after another",
		send: []string{next("GET /1 HTTP/1.1"), "<await GET /1\n>", next("POST /2 HTTP/1.1",
			"Content-Length: 4") + "body",
			"<await POST /2\n>", get("/3")}, want: "200 200 200"},
	{name: "closed half behind two requests",
		send: []string{next("GET /1 HTTP/1.1") + next("GET /2 HTTP/1.1"), "<fin>"}, want: "200 200"},
	{name: "version 1.0 keeps alive",
		send: []string{req("GET /1 HTTP/1.0", "Connection: keep-alive") + req("GET /2 HTTP/1.0")}, want: "200 200"},
	{name: "version 1.0 keeps alive, flushed",
		send: []string{req("GET /1 HTTP/1.0", "Connection: keep-alive") + req("GET /2 HTTP/1.0")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) { see.flush(w) }},
	{name: "version 1.0 keeps alive, HEAD",
		send: []string{req("HEAD /1 HTTP/1.0", "Connection: keep-alive") + req("HEAD /2 HTTP/1.0")},
		want: "200 200",
		do:   lengths("4", "four")},
	{name: "version 1.0 does not keep alive", send: []string{req("GET /1 HTTP/1.0") + req("GET /2 HTTP/1.0")},
		want: "200"},
	{name: "version 1.1 keep-alive said",
		send: []string{next("GET /1 HTTP/1.1", "Connection: Keep-Alive") + get("/2")}, want: "200 200"},
	{name: "Expect, body read",
		send: []string{post("/", "Content-Length: 4", expect), "<await 100 Continue>", "body"}, want: "100 200"},
	{name: "Expect, chunked body read",
		send: []string{post("/", chunked, expect), "<await 100 Continue>", "4\r\nbody\r\n0\r\n\r\n"},
		want: "100 200"},
	{name: "Expect, body sent at once", send: []string{withLength("body", expect)}, want: "100 200"},
	{name: "Expect, body not read", do: ignore,
		send: []string{post("/", "Content-Length: 4", expect), "<await ignored>"}, want: "200"},
	{name: "Expect, body not read but sent", do: ignore, send: []string{withLength("body", expect)},
		want: "200"},
	{name: "Expect, refused", do: status(417),
		send: []string{post("/", "Content-Length: 4", expect), "<await text>"}, want: "417"},
	{name: "Expect, body half read", do: readSome(2),
		send: []string{post("/", "Content-Length: 4", expect), "<await 100 Continue>", "body"}, want: "100 200"},
	{name: "Expect, no body", send: []string{get("/", expect)}, want: "200"},
	{name: "Expect, length 0", send: []string{post("/", "Content-Length: 0", expect)}, want: "200"},
	{name: "Expect in odd case",
		send: []string{post("/", "Content-Length: 4", "EXPECT: 100-Continue"), "<await 100 Continue>", "body"},
		want: "100 200"},
	{name: "Expect, version 1.0", send: []string{req("POST / HTTP/1.0", "Content-Length: 4", expect) + "body"},
		want: "200"},
	{name: "Expect, handler sends 100",
		send: []string{post("/", "Content-Length: 4", expect), "<await 100 Continue>", "body"}, want: "100 200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			w.WriteHeader(100)
			see.body(r)
		}},
	{name: "Expect, 103 before the body is read",
		send: []string{post("/", "Content-Length: 4", expect), "<await 100 Continue>", "body"}, want: "103 100 200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			see.body(r)
		}},
	{name: "Expect, body read after the answer", do: afterwards(true),
		send: []string{post("/", "Content-Length: 4", expect), "<await first>", "body"}, want: "200"},
	{name: "Expect, client goes on without", send: []string{post("/", "Content-Length: 4", expect), "body"},
		want: "100 200"},
	{name: "Expect, pipelined behind",
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 4", expect) + "body" + get("/2")},
		want: "100 200 200"},
	{name: "Expect, not read and pipelined behind", do: ignore,
		send: []string{next("POST /1 HTTP/1.1", "Content-Length: 4", expect) + get("/2")}, want: "200"},
	{name: "Expect, limited", do: limited(4),
		send: []string{post("/", "Content-Length: 9", expect), "<await 100 Continue>", "too large"},
		want: "100 413"},
	{name: "early answer to an upload",
		send: []string{post("/", "Content-Length: 1000000") + large[:1000], "<await no>", large[1000:1000000]},
		want: "403",
		do:   func(w http.ResponseWriter, r *http.Request, see *run) { http.Error(w, "no", http.StatusForbidden) }},
	{name: "nothing sent", send: []string{"<fin>"}, want: ""},
	{name: "only line ends sent", send: []string{"\r\n\r\n", "<fin>"}, want: "400"},
	{name: "head in single bytes", send: singly(get("/single?byte=s", "X-A: 1")), want: "200"},
	{name: "TLS GET", on: "tls", send: []string{get("/a")}, want: "200", sees: "TLS 1.3"},
	{name: "TLS POST", on: "tls", send: []string{withLength("body")}, want: "200"},
	{name: "TLS pipelined", on: "tls", send: []string{next("GET /1 HTTP/1.1") + get("/2")}, want: "200 200"},
	{name: "TLS closed half", on: "tls", send: []string{withLength("body"), "<fin>"}, want: "200"},
	{name: "TLS client goes", on: "tls", do: gone, cutShort: true,
		send: []string{get("/"), "<await ready>", "<close>"}},
	{name: "TLS, plain request on its port", on: "tls-plain", send: []string{get("/")}, want: "400"},
	{name: "io.Copy of the body", send: []string{withLength(large)}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			http.NewResponseController(w).EnableFullDuplex()
			n, err := io.Copy(w, r.Body)
			see.note("copied %d %s", n, failure(err))
		}},
}

// singly are steps of one byte each.
func singly(s string) []string {
	var all []string
	for _, b := range []byte(s) {
		all = append(all, string(b))
	}
	return all
}
