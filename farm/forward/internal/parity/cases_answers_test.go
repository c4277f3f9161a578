package parity

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// answer is a script of a plain GET.
func answer(name, want string, do handler) script {
	return script{name: "answer " + name, do: do, send: []string{get("/")}, want: want}
}

// answerHead is a script of a plain HEAD.
func answerHead(name, want string, do handler) script {
	return script{name: "HEAD " + name, do: do,
		send: []string{req("HEAD / HTTP/1.1", "Host: h", "Connection: close")}, want: want}
}

// says answers with a text.
func says(text string) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) { see.wrote(io.WriteString(w, text)) }
}

// status answers with a status and tries to write a text.
func status(code int) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.WriteHeader(code)
		see.wrote(io.WriteString(w, "text"))
	}
}

// lengths answers a text of another length than it says.
func lengths(length, text string) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Length", length)
		see.wrote(io.WriteString(w, text))
	}
}

// with sets fields, in turn names and values, and answers with a text.
func with(fields ...string) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		see.wrote(io.WriteString(w, "text"))
	}
}

func nothing(http.ResponseWriter, *http.Request, *run) {}

// file is what http.ServeContent has to send.
func file(w http.ResponseWriter, r *http.Request, _ *run) {
	w.Header().Set("Etag", `"v1"`)
	http.ServeContent(w, r, "x.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
}

func ranged(name, want string, fields ...string) script {
	return script{name: "range " + name, do: file, send: []string{get("/x.txt", fields...)}, want: want}
}

// reader hides what an io.Reader could do besides.
type reader struct{ io.Reader }

var answering = []script{
	answer("empty", "200", nothing),
	answer("text", "200", says("text")),
	answer("200 without a body", "200",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.WriteHeader(200) }),
	answer("201", "201", status(201)),
	answer("204 with a body", "204", status(204)),
	answer("205 with a body", "205", status(205)),
	answer("304 with a body", "304", status(304)),
	answer("418", "418", status(418)),
	answer("500", "500", status(500)),
	answer("599", "599", status(599)),
	answer("799", "799", status(799)),
	answer("204 and a length", "204", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(204)
	}),
	answer("304 with fields", "304", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(304)
	}),
	answer("status 0 panics", "", func(w http.ResponseWriter, _ *http.Request, _ *run) { w.WriteHeader(0) }),
	answer("status 1000 panics", "",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.WriteHeader(1000) }),
	answer("WriteHeader twice", "202", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.WriteHeader(202)
		w.WriteHeader(500)
		see.wrote(io.WriteString(w, "text"))
	}),
	answer("WriteHeader after Write", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.wrote(io.WriteString(w, "text"))
		w.WriteHeader(500)
	}),
	answer("fields after WriteHeader", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("X-Before", "1")
		w.WriteHeader(200)
		w.Header().Set("X-After", "1")
		w.Header().Del("X-Before")
	}),
	answer("fields after Write", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		io.WriteString(w, "text")
		w.Header().Set("X-After", "1")
	}),
	answer("fields repeated", "200", with("Set-Cookie", "a=1", "Set-Cookie", "b=2; Path=/", "Vary", "A", "Vary",
		"B")),
	answer("fields empty and odd", "200", with("X-Empty", "", "!#$%&'*+-.^_`|~09", "1", "X-Space", "  a  ")),
	answer("field not canonical", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header()["x-lower"] = []string{"1"}
		w.Header()["ETag"] = []string{`"v"`}
		w.Header()["content-type"] = []string{"text/odd"}
	}),
	answer("field with bad name", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header()["X Bad"] = []string{"1"}
		w.Header()["X-Bad\r\nX-Injected"] = []string{"1"}
		w.Header()[""] = []string{"1"}
	}),
	answer("field with line ends", "200", with("X-Bad", "1\r\nX-Injected: 2", "X-Lf", "1\n2", "X-Nul",
		"1\x002")),
	answer("field utf-8", "200", with("X-A", "süß", "X-B", "\xe4\xff")),
	answer("field nil and none", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header()["X-Nil"] = nil
		w.Header()["X-None"] = []string{}
	}),
	answer("Date nil", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header()["Date"] = nil }),
	answer("Date own", "200", with("Date", "Thu, 01 Jan 1970 00:00:00 GMT")),
	answer("Content-Type nil", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	}),
	answer("Content-Type empty", "200", with("Content-Type", "")),
	answer("Content-Type twice", "200", with("Content-Type", "text/a", "Content-Type", "text/b")),
	answer("sniffed html", "200", says("<html><body>")),
	answer("sniffed png", "200", says("\x89PNG\x0d\x0a\x1a\x0a")),
	answer("sniffed in small writes", "200", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		for _, s := range []string{"", "<", "ht", "ml>"} {
			io.WriteString(w, s)
		}
	}),
	answer("not sniffed, encoded", "200", with("Content-Encoding", "gzip")),
	answer("not sniffed, chunked by the handler", "200", with("Transfer-Encoding", "chunked")),
	answer("Transfer-Encoding identity", "200", with("Transfer-Encoding", "identity")),
	answer("Transfer-Encoding gzip", "200", with("Transfer-Encoding", "gzip")),
	answer("length right", "200", lengths("4", "four")),
	answer("length 0 and a body", "200", lengths("0", "four")),
	answer("length too small", "200", lengths("2", "four")),
	answer("length too large", "200", lengths("9", "four")),
	answer("length too large, nothing written", "200",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header().Set("Content-Length", "9") }),
	answer("length that is none", "200", lengths("four", "four")),
	answer("length negative", "200", lengths("-1", "four")),
	answer("length twice", "200", with("Content-Length", "4", "Content-Length", "5")),
	answer("2048 bytes", "200", says(large[:2048])),
	answer("2049 bytes", "200", says(large[:2049])),
	answer("4096 bytes in two", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.wrote(io.WriteString(w, large[:2000]))
		see.wrote(io.WriteString(w, large[2000:4096]))
	}),
	answer("1 MiB", "200", says(large)),
	answer("1 MiB of known length", "200", lengths(fmt.Sprint(len(large)), large)),
	answer("Connection close", "200", with("Connection", "close")),
	answer("Connection keep-alive", "200", with("Connection", "keep-alive")),
	answer("Connection names others", "200", with("Connection", "X-A, close", "X-A", "1")),
	answer("hop-by-hop fields", "200", with("Keep-Alive", "timeout=5", "Proxy-Authenticate", "Basic", "Te", "x",
		"Proxy-Connection", "x")),
	answer("Upgrade in 426", "426", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(426)
	}),
	answer("own request id", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.note("ids %d", len(w.Header()["X-Request-Id"]))
		w.Header().Set("X-Own-Id", "mine")
	}),
	answer("no request id", "200",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header().Del("X-Request-Id") }),
	answer("names of the hop", "200", with("Webfarm-Refused", "x", "Webfarm-Hop", "x")),
	answer("header map that the gate began", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		h := w.Header().Clone()
		h.Del("Connection")
		see.note("header %s", fields(h))
	}),
	answer("redirect", "303", func(w http.ResponseWriter, r *http.Request, _ *run) {
		http.Redirect(w, r, "../b?c", http.StatusSeeOther)
	}),
	answer("not found", "404", func(w http.ResponseWriter, r *http.Request, _ *run) { http.NotFound(w, r) }),
	answer("error with a length before", "400", func(w http.ResponseWriter, _ *http.Request, _ *run) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("Etag", "x")
		http.Error(w, "bad", 400)
	}),
	answer("cookies", "200", func(w http.ResponseWriter, r *http.Request, see *run) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1 2", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		_, err := r.Cookie("none")
		see.note("cookie %s", failure(err))
	}),
	answer("ReadFrom", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("<html>"))
		see.note("copied %d %s", n, failure(err))
	}),
	answer("ReadFrom large", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		n, err := io.Copy(w, reader{strings.NewReader(large)})
		see.note("copied %d %s", n, failure(err))
	}),
	answer("ReadFrom too much", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("Content-Length", "4")
		_, err := w.(io.ReaderFrom).ReadFrom(reader{strings.NewReader("too much")})
		see.note("copied %s", failure(err))
	}),
	answer("ReadFrom that fails", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		n, err := io.Copy(w, reader{io.MultiReader(strings.NewReader("some"), failing{})})
		see.note("copied %d %s", n, failure(err))
	}),
	answer("WriteString", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.wrote(w.(io.StringWriter).WriteString("text"))
	}),
	answer("Write of nothing", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.wrote(w.Write(nil))
		w.WriteHeader(404)
	}),
	answer("what the writer can do", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, pusher := w.(http.Pusher)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		see.note("flush %v hijack %v push %v read %v string %v", flusher, hijacker, pusher, readerFrom,
			stringWriter)
	}),
	answer("ServeMux with patterns", "200", func(w http.ResponseWriter, r *http.Request, see *run) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{rest...}", func(w http.ResponseWriter, r *http.Request) {
			see.note("pattern %q value %q", r.Pattern, r.PathValue("rest"))
		})
		mux.ServeHTTP(w, r)
	}),
	answer("TimeoutHandler in time", "200", func(w http.ResponseWriter, r *http.Request, _ *run) {
		http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "1")
			io.WriteString(w, "in time")
		}), patience, "late").ServeHTTP(w, r)
	}),
	answer("TimeoutHandler late", "503", func(w http.ResponseWriter, r *http.Request, _ *run) {
		http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			time.Millisecond, "late").ServeHTTP(w, r)
	}),
	{name: "answer CrossOriginProtection",
		send: []string{post("/", "Origin: https://evil.example", "Content-Length: 4") + "body"}, want: "403",
		do: guarded},
	{name: "answer CrossOriginProtection, same origin",
		send: []string{post("/", "Origin: http://h", "Content-Length: 4") + "body"}, want: "200", do: guarded},
	{name: "answer CrossOriginProtection, Sec-Fetch-Site",
		send: []string{post("/", "Sec-Fetch-Site: cross-site")}, want: "403", do: guarded},
	answerHead("text", "200", says("text")),
	answerHead("nothing", "200", nothing),
	answerHead("length", "200", lengths("4", "four")),
	answerHead("length without a body", "200",
		func(w http.ResponseWriter, _ *http.Request, _ *run) { w.Header().Set("Content-Length", "4") }),
	answerHead("length too small", "200", lengths("2", "four")),
	answerHead("1 MiB", "200", says(large)),
	answerHead("flushed", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		see.wrote(io.WriteString(w, "text"))
		see.note("flush %s", failure(http.NewResponseController(w).Flush()))
		see.wrote(io.WriteString(w, "more"))
	}),
	answerHead("ServeContent", "200", file),
	answerHead("ReadFrom", "200", func(w http.ResponseWriter, _ *http.Request, see *run) {
		n, err := io.Copy(w, strings.NewReader("text"))
		see.note("copied %d %s", n, failure(err))
	}),
	ranged("none", "200"),
	ranged("one", "206", "Range: bytes=2-4"),
	ranged("last", "206", "Range: bytes=-3"),
	ranged("beyond", "416", "Range: bytes=99-"),
	ranged("bad", "416", "Range: bytes=x"),
	ranged("if-none-match", "304", `If-None-Match: "v1"`),
	ranged("if-match fails", "412", `If-Match: "v2"`),
	ranged("if-modified-since", "304", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT"),
	ranged("if-range", "200", "Range: bytes=2-4", `If-Range: "v2"`),
}

// guarded lets in what is not of another origin.
func guarded(w http.ResponseWriter, r *http.Request, see *run) {
	http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echo(w, r, see)
	})).ServeHTTP(w, r)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk broken") }
