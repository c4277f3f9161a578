package parity

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"
)

// flush sends what was written.
func (s *run) flush(w http.ResponseWriter) {
	s.note("flush %s", failure(http.NewResponseController(w).Flush()))
}

// interim sends informational responses of this status, each with a field of its own.
func interim(code, n int) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("X-Kept", "1")
		for i := range n {
			w.Header().Set("Link", fmt.Sprintf("</%d.css>; rel=preload", i))
			w.WriteHeader(code)
		}
		w.Header().Del("Link")
		see.wrote(io.WriteString(w, "final"))
	}
}

// gone waits until the client is gone and notes how the handler learns it. The client goes when it has
// received "ready".
func gone(w http.ResponseWriter, r *http.Request, see *run) {
	io.WriteString(w, "ready\n")
	http.NewResponseController(w).Flush()
	see.ends(r)
}

// ends waits for the end of the request's context.
func (s *run) ends(r *http.Request) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-r.Context().Done():
		s.note("context %s", failure(r.Context().Err()))
	case <-late.C:
		s.note("the context has not ended")
	}
}

// late waits until a hasty server's timeouts are over.
func late() { <-time.NewTimer(2 * soon).C }

// trailers answers with a body and trailers.
func trailers(announced bool, fields ...string) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		if announced {
			w.Header().Set("Trailer", "X-Sum, X-Missing")
		}
		see.wrote(io.WriteString(w, "body"))
		if announced {
			see.flush(w)
			w.Header().Set("X-Sum", "4")
		}
		for _, name := range fields {
			w.Header().Set(name, "late")
		}
	}
}

var streams = []script{
	answer("flushed in pieces", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		for i := range 3 {
			see.wrote(fmt.Fprintln(w, "piece", i))
			see.flush(w)
		}
	}),
	answer("flushed before anything", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.flush(w)
		see.wrote(io.WriteString(w, "<html>"))
	}),
	answer("flushed and no more", "200",
		func(w http.ResponseWriter, _ *http.Request, see *run) { see.flush(w) }),
	answer("flushed with a length", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Length", "8")
		see.wrote(io.WriteString(w, "four"))
		w.(http.Flusher).Flush()
		see.wrote(io.WriteString(w, "four"))
	}),
	answer("flushed 204", "204", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.WriteHeader(204)
		see.flush(w)
	}),
	answer("many small writes", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		for i := range 5000 {
			fmt.Fprintln(w, i)
		}
	}),
	answer("events", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 20 {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", i)
			w.(http.Flusher).Flush()
		}
	}),
	{name: "stream, version 1.0", send: []string{req("GET / HTTP/1.0")}, want: "200",
		do: func(w http.ResponseWriter, _ *http.Request, see *run) {
			see.wrote(io.WriteString(w, "one"))
			see.flush(w)
			see.wrote(io.WriteString(w, "two"))
		}},
	answer("1xx: a 103", "103 200", interim(103, 1)),
	answer("1xx: 20 of 103", strings.Repeat("103 ", 20)+"200", interim(103, 20)),
	answer("1xx: 102", "102 200", interim(102, 1)),
	answer("1xx: 199", "199 200", interim(199, 1)),
	answer("1xx: 100 without Expect", "100 200", interim(100, 1)),
	answer("1xx: 101 without Hijack", "101", interim(101, 1)),
	answer("1xx: a length in 103", "103 200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(103)
		see.wrote(io.WriteString(w, "four"))
	}),
	answer("1xx after the final status", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.WriteHeader(200)
		w.WriteHeader(103)
	}),
	{name: "answer 1xx: 103 to version 1.0", do: interim(103, 1), send: []string{req("GET / HTTP/1.0")},
		want: "103 200"},
	{name: "answer 1xx: 103 to HEAD", do: interim(103, 1),
		send: []string{req("HEAD / HTTP/1.1", "Host: h", "Connection: close")}, want: "103 200"},
	answer("trailers announced", "200", trailers(true)),
	answer("trailers not announced", "200", trailers(false, "X-Unknown")),
	answer("trailers by prefix", "200", trailers(false, http.TrailerPrefix+"X-Late", "X-Unknown")),
	answer("trailers announced and by prefix", "200", trailers(true, http.TrailerPrefix+"X-Late")),
	answer("trailers, forbidden names", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Trailer", "Content-Length, Transfer-Encoding, Trailer, X-Ok")
		see.wrote(io.WriteString(w, "body"))
		w.Header().Set("Content-Length", "9")
		w.Header().Set("X-Ok", "1")
	}),
	answer("trailers and a length", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("Content-Length", "4")
		see.wrote(io.WriteString(w, "body"))
		w.Header().Set("X-Sum", "4")
	}),
	answer("trailers without a body", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		w.Header().Set("X-Sum", "0")
	}),
	answer("trailers and nothing written", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Sum", "0")
	}),
	answer("trailers of a 204", "204", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(204)
		w.Header().Set("X-Sum", "0")
	}),
	answer("trailers repeated", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Add("Trailer", "X-A")
		w.Header().Add("Trailer", "X-B, x-c")
		see.wrote(io.WriteString(w, "body"))
		w.Header()["X-A"] = []string{"1", "2"}
		w.Header().Set("X-C", "3")
	}),
	{name: "answer trailers, version 1.0", do: trailers(true), send: []string{req("GET / HTTP/1.0")},
		want: "200"},
	answer("panic before", "", func(http.ResponseWriter, *http.Request, *run) { panic("before") }),
	answer("panic after WriteHeader", "", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.WriteHeader(200)
		panic("after")
	}),
	answer("panic after Write", "", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		io.WriteString(w, "some")
		panic("after")
	}),
	answer("panic after Flush", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		io.WriteString(w, "some")
		see.flush(w)
		panic("after")
	}),
	answer("panic after Flush, of known length", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Length", "9")
		io.WriteString(w, "some")
		see.flush(w)
		panic("after")
	}),
	answer("panic nil", "", func(http.ResponseWriter, *http.Request, *run) { panic(nil) }),
	answer("abort before", "", func(http.ResponseWriter, *http.Request, *run) { panic(http.ErrAbortHandler) }),
	answer("abort after Flush", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		io.WriteString(w, "some")
		see.flush(w)
		panic(http.ErrAbortHandler)
	}),
	{name: "abort of a large answer", anyLength: true, send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, _ *http.Request, _ *run) {
			io.WriteString(w, large)
			panic(http.ErrAbortHandler)
		}},
	answer("Goexit", "", func(http.ResponseWriter, *http.Request, *run) { runtime.Goexit() }),
	{name: "client goes, handler waits", do: gone, cutShort: true,
		send: []string{get("/"), "<await ready>", "<close>"}},
	{name: "client goes, body read", cutShort: true,
		send: []string{withLength("body"), "<await ready>", "<close>"},
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.body(r)
			gone(w, r, see)
		}},
	{name: "client goes within its body", cutShort: true,
		send: []string{post("/", "Content-Length: 10") + "body", "<await ready>", "<close>"},
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("duplex %s", failure(http.NewResponseController(w).EnableFullDuplex()))
			io.WriteString(w, "ready\n")
			see.flush(w)
			see.body(r)
			see.ends(r)
		}},
	{name: "client goes, handler writes", cutShort: true, send: []string{get("/"), "<await ready>", "<close>"},
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			io.WriteString(w, "ready\n")
			http.NewResponseController(w).Flush()
			<-see.of.cut
			for {
				if _, err := io.WriteString(w, large); err != nil {
					break
				}
			}
			see.ends(r)
		}},
	{name: "client closes its half, handler waits", do: gone, send: []string{get("/"), "<await ready>", "<fin>"},
		want: "200"},
	{name: "duplex echo",
		send: []string{post("/", chunked), "<await hello>", "4\r\nping\r\n", "<await ping>", "4\r\npong\r\n",
			"<await pong>", "0\r\n\r\n"}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("duplex %s", failure(http.NewResponseController(w).EnableFullDuplex()))
			io.WriteString(w, "hello ")
			see.flush(w)
			b := make([]byte, 4)
			for range 2 {
				_, err := io.ReadFull(r.Body, b)
				see.note("read %q %s", b, failure(err))
				see.wrote(w.Write(b))
				see.flush(w)
			}
			see.body(r)
		}},
	{name: "duplex, read after the answer", do: afterwards(true), send: []string{withLength("body")},
		want: "200"},
	{name: "duplex, read after the answer, large", do: afterwards(true), send: []string{withLength(large)},
		want: "200"},
	{name: "duplex, client waits for the answer", do: afterwards(true),
		send: []string{post("/", "Content-Length: 4"), "<await first>", "body"}, want: "200"},
	{name: "no duplex, read after the answer", do: afterwards(false), send: []string{withLength("body")},
		want: "200"},
	{name: "duplex, body left", send: []string{withLength(large)}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("duplex %s", failure(http.NewResponseController(w).EnableFullDuplex()))
			see.wrote(io.WriteString(w, "enough"))
		}},
	{name: "deadline: read, past", send: []string{post("/", "Content-Length: 4"), "<await late>"}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("set %s", failure(http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))))
			see.body(r)
			io.WriteString(w, "late")
		}, sees: "i/o timeout"},
	{name: "deadline: write, past", send: []string{get("/")}, want: "",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("set %s", failure(http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))))
			io.WriteString(w, "late")
			see.flush(w)
		}, sees: "i/o timeout"},
	{name: "deadline: both set and taken back", send: []string{withLength("body")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			c := http.NewResponseController(w)
			see.note("set %s %s", failure(c.SetReadDeadline(time.Now().Add(patience))),
				failure(c.SetWriteDeadline(time.Now().Add(patience))))
			see.note("set %s %s", failure(c.SetReadDeadline(time.Time{})), failure(c.SetWriteDeadline(time.Time{})))
			see.body(r)
			io.WriteString(w, "in time")
			see.flush(w)
		}},
	{name: "deadline: server's for reading is over", on: "hasty",
		send: []string{post("/", "Content-Length: 4"), "<await over>"}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			http.NewResponseController(w).SetWriteDeadline(time.Time{})
			see.body(r)
			io.WriteString(w, "over")
		}, sees: "i/o timeout"},
	{name: "deadline: server's for reading taken back", on: "hasty",
		send: []string{post("/", chunked), "<await more>", "4\r\nbody\r\n0\r\n\r\n"}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			c := http.NewResponseController(w)
			see.note("set %s %s %s", failure(c.EnableFullDuplex()), failure(c.SetReadDeadline(time.Time{})),
				failure(c.SetWriteDeadline(time.Time{})))
			late()
			io.WriteString(w, "more\n")
			see.flush(w)
			see.body(r)
		}},
	{name: "deadline: server's for writing is over", on: "hasty", send: []string{get("/")}, want: "",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			late()
			io.WriteString(w, "too late")
			see.flush(w)
		}, sees: "i/o timeout"},
	{name: "deadline: server's for writing taken back", on: "hasty", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("set %s", failure(http.NewResponseController(w).SetWriteDeadline(time.Time{})))
			io.WriteString(w, "in time\n")
			see.flush(w)
			late()
			see.wrote(io.WriteString(w, "and later"))
			see.flush(w)
		}},
	{name: "slow body in pieces",
		send: []string{post("/", chunked), "1\r\n", "a", "\r\n", "2", "\r\nbc\r\n", "0\r\n", "\r\n"}, want: "200"},
	{name: "body by lines", send: []string{withLength("one\ntwo\nthree")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				see.wrote(fmt.Fprintln(w, lines.Text()))
			}
		}},
}
