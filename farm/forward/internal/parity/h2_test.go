package parity

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// h2script is what a client does on a connection of HTTP/2.
type h2script struct {
	name string
	do   handler  // nil = echo
	send []string // steps of an h2client
	n    int      // streams of which the client awaits the end; 0 = 1; -1 = none
	sees string   // as of a script
	cut  bool     // the server ends the stream, before the handler has begun or after
	lone bool     // not by the node that drains, which takes no second stream
}

func TestParityH2(t *testing.T) {
	runAll(t, slices.Concat(h2scripts, grpcScripts), knownH2)
}

func (s h2script) title() string { return s.name }

func (s h2script) compare(t *testing.T, app *book, all []way) {
	var differences []string
	for _, w := range all {
		if w.name == "draining" && (s.lone || s.n > 1) {
			continue
		}
		direct, hops := s.run(t, app, w.direct), s.run(t, app, w.hops)
		if !strings.Contains(direct.String(), s.sees) || s.sees == "" {
			t.Errorf("%q does not appear where a node serves by itself:\n%v", s.sees, direct)
		}
		if d := difference(direct.String(), hops.String()); d != "" {
			differences = append(differences, fmt.Sprintf("by the %s node:\n%s", w.name, d))
		}
	}
	report(t, s.name, differences, knownH2)
}

func (s h2script) run(t *testing.T, app *book, to servers) outcome {
	do := s.do
	if do == nil {
		do = echo
	}
	c := connectH2(t, app, to.tls, do)
	defer c.end(app)
	for _, step := range s.send {
		c.step(step)
	}
	received := c.all(cmp.Or(s.n, 1))
	c.conn.Close()
	noted := c.notes.read(true)
	if s.cut {
		noted = ""
	}
	return outcome{received + c.trouble, noted}
}

// h2req is the header of a request.
func h2req(stream uint32, end bool, method, path string, fields ...string) string {
	return head(stream, end, append([]string{":method", method, ":scheme", "https", ":path", path, ":authority",
		"h"}, fields...)...)
}

// h2get is a script of one request without a body.
func h2get(name, path, sees string, fields ...string) h2script {
	return h2script{name: name, send: []string{h2req(1, true, "GET", path, fields...)}, sees: sees}
}

// h2post is a script of a request with a body in pieces.
func h2post(name, sees string, pieces ...string) h2script {
	return h2script{name: name, send: append([]string{h2req(1, false, "POST", "/")}, pieces...), sees: sees}
}

// h2answer is a script of a plain GET.
func h2answer(name, sees string, do handler) h2script {
	return h2script{name: "answer " + name, do: do, send: []string{h2req(1, true, "GET", "/")}, sees: sees}
}

// trailer is the header that ends a body.
func trailer(stream uint32, fields ...string) string { return head(stream, true, fields...) }

var h2scripts = []h2script{
	h2get("target plain", "/a?b", "proto HTTP/2.0 2 0"),
	h2get("target encoded delimiters", "/api/kv/a|b%2Fc", `raw "/api/kv/a|b%2Fc"`),
	h2get("target two slashes", "//x/../y", `target "//x/../y"`),
	h2get("target utf-8", "/süß", `target "/süß"`),
	h2get("target bad escape", "/%zz", "code 1"),
	h2get("target empty", "", "code 1"),
	h2get("target asterisk", "*", "status"),
	h2get("target absolute", "http://other/x", `url scheme "http"`),
	h2get("target with a space", "/a b", "status"),
	h2get("target NUL", "/a\x00b", "code 1"),
	h2get("target long", "/"+strings.Repeat("a", 60000), "status: 200"),
	h2get("fields repeated", "/", `"X-A"=["1" "2"]`, "x-a", "1", "x-b", "", "x-a", "2"),
	h2get("fields cookies in pieces", "/", `"Cookie"=["a=1; b=2"]`, "cookie", "a=1", "cookie", "b=2"),
	h2get("fields in capitals", "/", "code 1", "X-A", "1"),
	h2get("fields with bad value", "/", "code 1", "x-a", "1\n2"),
	h2get("fields Connection", "/", "status", "connection", "close"),
	h2get("fields Transfer-Encoding", "/", "status", "transfer-encoding", "chunked"),
	h2get("fields TE", "/", `"Te"=["trailers"]`, "te", "trailers"),
	h2get("fields claims of proxies", "/", "status: 200", "x-forwarded-for", "1.2.3.4", "webfarm-hop", "{}",
		"x-request-id", "mine"),
	h2get("fields host beside authority", "/", "status", "host", "other"),
	h2get("fields many", "/", "status: 200", strings.Split(strings.Repeat("x-a,1,", 1000)+"x-b,2", ",")...),
	h2get("fields over the limit", "/", "the connection ends", "x-big", strings.Repeat("b", 1<<20+8192)),
	h2get("pseudo field unknown", "/", "code 1", ":odd", "1"),
	{name: "pseudo field behind others",
		send: []string{head(1, true, ":method", "GET", ":scheme", "https", "x-a", "1", ":path", "/", ":authority",
			"h")}, sees: "code 1"},
	{name: "pseudo field twice",
		send: []string{head(1, true, ":method", "GET", ":method", "POST", ":scheme", "https", ":path", "/",
			":authority", "h")}, sees: "code 1"},
	{name: "pseudo field missing",
		send: []string{head(1, true, ":method", "GET", ":path", "/", ":authority", "h")}, sees: "code 1"},
	{name: "scheme http over TLS",
		send: []string{head(1, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h")},
		sees: "status"},
	{name: "authority missing",
		send: []string{head(1, true, ":method", "GET", ":scheme", "https", ":path", "/")}, sees: "status"},
	{name: "authority with user",
		send: []string{head(1, true, ":method", "GET", ":scheme", "https", ":path", "/", ":authority", "u@h")},
		sees: "code 1"},
	{name: "method odd token", send: []string{h2req(1, true, "BREW!", "/")}, sees: `method "BREW!"`},
	{name: "method that is no token", send: []string{h2req(1, true, "G T", "/")}, sees: `method "G T"`},
	{name: "method CONNECT", send: []string{head(1, true, ":method", "CONNECT", ":authority", "h:443")}, sees: "501"},
	{name: "method CONNECT extended", send: []string{h2req(1, true, "CONNECT", "/", ":protocol", "websocket")},
		sees: "code 1"},
	{name: "method HEAD", do: says("text"), send: []string{h2req(1, true, "HEAD", "/")}, sees: "status: 200"},
	h2post("body", `body "body" ok`, data(1, true, "body")),
	h2post("body in pieces", `body "body" ok`,
		data(1, false, "bo"), data(1, false, ""), data(1, false, "dy"), data(1, true, "")),
	h2post("body padded", `body "body" ok`, frame(fData, flagEnd|flagPadded, 1, []byte("\x03body\x00\x00\x00"))),
	{name: "body and trailers announced",
		send: []string{h2req(1, false, "POST", "/", "trailer", "x-end, x-missing"),
			data(1, false, "body"), trailer(1, "x-end", "1")},
		sees: `"X-End"=["1"]`},
	h2post("body and trailers", `body "body" ok`, data(1, false, "body"), trailer(1, "x-end", "1")),
	{name: "body and trailers with pseudo fields", cut: true, sees: "code 1",
		send: []string{h2req(1, false, "POST", "/"), data(1, false, "body"), trailer(1, ":path", "/")}},
	h2post("body large", "(60002 bytes", data(1, false, large[:maxFrame]), data(1, false, large[:maxFrame]),
		data(1, false, large[:maxFrame]), data(1, true, large[:60000-3*maxFrame])),
	{name: "body with a length",
		send: []string{h2req(1, false, "POST", "/", "content-length", "4"), data(1, true, "body")},
		sees: "length 4"},
	{name: "body shorter than its length",
		send: []string{h2req(1, false, "POST", "/", "content-length", "9"), data(1, true, "body")},
		sees: "Content-Length"},
	{name: "body longer than its length", cut: true,
		send: []string{h2req(1, false, "POST", "/", "content-length", "2"), data(1, true, "body")}, sees: "code 1"},
	{name: "body of GET", send: []string{h2req(1, false, "GET", "/"), data(1, true, "body")}, sees: `body "body" ok`},
	{name: "body not read", do: ignore, send: []string{h2req(1, false, "POST", "/"), data(1, true, "body")},
		sees: "ignored"},
	{name: "body not read, and not sent", do: ignore,
		send: []string{h2req(1, false, "POST", "/"), "<await ignored>"}, sees: "ignored"},
	{name: "body limited", do: limited(2), send: []string{h2req(1, false, "POST", "/"), data(1, true, "body")},
		sees: "413"},
	{name: "body is reset",
		send: []string{h2req(1, false, "POST", "/"), data(1, false, "body"), "<await ready>", reset(1, 8)}, n: -1,
		sees: "context canceled",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			b := make([]byte, 4)
			_, err := io.ReadFull(r.Body, b)
			see.note("read %q %s", b, failure(err))
			io.WriteString(w, "ready")
			see.flush(w)
			see.ends(r)
			panic(http.ErrAbortHandler)
		}},
	{name: "Expect",
		send: []string{h2req(1, false, "POST", "/", "expect", "100-continue"), "<await 100>", data(1, true,
			"body")}, sees: "100"},
	h2answer("204", "204", status(204)),
	h2answer("304", "304", status(304)),
	h2answer("103", "103", interim(103, 3)),
	h2answer("flushed in pieces", "piece", func(w http.ResponseWriter, _ *http.Request, see *run) {
		for i := range 3 {
			see.wrote(fmt.Fprintln(w, "piece", i))
			see.flush(w)
		}
	}),
	h2answer("trailers announced", "x-sum", trailers(true)),
	h2answer("trailers by prefix", "x-late", trailers(false, http.TrailerPrefix+"X-Late")),
	h2answer("trailers only", "grpc-status", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "12")
	}),
	h2answer("sniffed", "text/html", says("<html>")),
	h2answer("Date nil", "status",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header()["Date"] = nil }),
	h2answer("Connection close", "status", with("Connection", "close")),
	h2answer("hop-by-hop fields", "status", with("Keep-Alive", "1", "Transfer-Encoding", "chunked", "Upgrade",
		"x", "Proxy-Connection", "x")),
	h2answer("field not canonical", "x-lower",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header()["X-LOWER"] = []string{"1"} }),
	h2answer("length too small", "status", lengths("2", "four")),
	h2answer("length too large", "status", lengths("9", "four")),
	h2answer("1 MiB", "bytes", says(large)),
	h2answer("panic before", "reset", func(http.ResponseWriter, *http.Request, *run) { panic("before") }),
	h2answer("abort after Flush", "reset", func(w http.ResponseWriter, _ *http.Request, see *run) {
		io.WriteString(w, "some")
		see.flush(w)
		panic(http.ErrAbortHandler)
	}),
	h2answer("what the writer can do", "status", func(w http.ResponseWriter, _ *http.Request, see *run) {
		_, flusher := w.(http.Flusher)
		_, _, err := http.NewResponseController(w).Hijack()
		see.note("flush %v hijack %v", flusher, err == nil)
	}),
	h2answer("deadline for writing", "status", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.note("set %s", failure(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience))))
		io.WriteString(w, "in time")
	}),
	{name: "duplex echo",
		send: []string{h2req(1, false, "POST", "/"), "<await hello>", data(1, false, "ping"), "<await ping>",
			data(1, true, "pong")},
		sees: "pong", do: func(w http.ResponseWriter, r *http.Request, see *run) {
			io.WriteString(w, "hello ")
			see.flush(w)
			b := make([]byte, 4)
			for range 2 {
				_, err := io.ReadFull(r.Body, b)
				see.note("read %q %s", b, failure(err))
				w.Write(b)
				see.flush(w)
			}
			see.body(r)
		}},
	{name: "two streams", n: 2,
		send: []string{h2req(1, true, "GET", "/1") + h2req(3, false, "POST", "/3") + data(3, true, "body")},
		sees: "POST /3"},
	{name: "twenty streams", n: 20, send: []string{manyStreams(20)}, sees: "GET /39"},
	{name: "stream of even number", send: []string{h2req(2, true, "GET", "/")}, sees: "the connection ends"},
	{name: "stream depends on itself",
		send: []string{frame(fHeaders, flagEnd|flagHeader|0x20, 1, append([]byte{0, 0, 0, 1, 0},
			putFields(nil, ":method", "GET", ":scheme", "https", ":path", "/", ":authority", "h")...))},
		sees: "stream 1"},
	{name: "ping between", send: []string{frame(fPing, 0, 0, []byte("12345678")), h2req(1, true, "GET", "/")},
		sees: "status: 200"},
	{name: "data on a closed stream", lone: true,
		send: []string{h2req(1, true, "GET", "/"), "<await GET />", data(1, true, "late")}, sees: "status: 200"},
}

// manyStreams are n requests at once.
func manyStreams(n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(h2req(uint32(2*i+1), true, "GET", fmt.Sprint("/", 2*i+1)))
	}
	return all.String()
}
