package parity

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// websocket is a client's handshake.
func websocket(target string, fields ...string) string {
	return req(append([]string{"GET " + target + " HTTP/1.1", "Host: h", "Connection: Upgrade",
		"Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, fields...)...)
}

const switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// hijack takes over the connection, notes what is there already, and goes on by talk.
func hijack(talk func(conn net.Conn, rw *bufio.ReadWriter, see *run)) handler {
	return func(w http.ResponseWriter, _ *http.Request, see *run) {
		w.Header().Set("X-Never-Sent", "1")
		conn, rw, err := http.NewResponseController(w).Hijack()
		see.note("hijack %s", failure(err))
		if err != nil {
			http.Error(w, "no hijack", http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		talk(conn, rw, see)
		n, err := io.WriteString(w, "after")
		see.wrote(n, err)
	}
}

// upgraded switches to a protocol in which lines are sent back, until one says "bye".
func upgraded(conn net.Conn, rw *bufio.ReadWriter, see *run) {
	rw.WriteString(switched)
	rw.Flush()
	sendBack(conn, rw, see)
}

func sendBack(conn net.Conn, rw *bufio.ReadWriter, see *run) {
	for {
		l, err := rw.ReadString('\n')
		see.note("line %q %s", l, failure(err))
		if err != nil || l == "bye\n" {
			return
		}
		fmt.Fprintf(rw, "echo %s", l)
		see.note("flush %s", failure(rw.Flush()))
	}
}

// talks is a script of a handler that has hijacked.
func talks(name, want string, talk func(net.Conn, *bufio.ReadWriter, *run), send ...string) script {
	return script{name: "hijack " + name, do: hijack(talk), send: send, want: want}
}

// raw writes an answer of its own.
func raw(text string) func(net.Conn, *bufio.ReadWriter, *run) {
	return func(conn net.Conn, _ *bufio.ReadWriter, see *run) {
		_, err := io.WriteString(conn, text)
		see.note("write %s", failure(err))
	}
}

var tunnels = []script{
	talks("websocket", "101", upgraded, websocket("/chat"), "<await Accept>", "one\n", "<await echo one>",
		"bye\n"),
	talks("websocket, eager client", "101", upgraded, websocket("/chat")+"one\ntwo\nbye\n"),
	talks("websocket, client closes its half", "101", upgraded, websocket("/chat"), "<await Accept>", "one\n",
		"<fin>"),
	talks("websocket, client is gone", "101", upgraded, websocket("/chat"), "<await Accept>", "one\n",
		"<await echo one>", "<close>"),
	talks("websocket, large message", "101", upgraded, websocket("/chat"), "<await Accept>",
		large[:256<<10]+"\nbye\n"),
	talks("websocket, server speaks first", "101", func(conn net.Conn, rw *bufio.ReadWriter, see *run) {
		rw.WriteString(switched + "welcome\n")
		rw.Flush()
		sendBack(conn, rw, see)
	}, websocket("/chat"), "<await welcome>", "bye\n"),
	talks("websocket, subprotocol and cookies", "101",
		raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Protocol: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-lower: 1\r\n\r\n"), websocket("/chat",
			"Sec-WebSocket-Protocol: a, b", "Cookie: c=3")),
	talks("websocket, refused by a raw answer", "403",
		raw("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"), websocket("/chat")),
	talks("websocket, several tokens in Connection", "101", upgraded, req("GET / HTTP/1.1", "Host: h",
		"Connection: keep-alive, Upgrade", "Upgrade: WebSocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")+"bye\n"),
	talks("websocket with a body", "101", upgraded, req("POST / HTTP/1.1", "Host: h", "Connection: Upgrade",
		"Upgrade: websocket", "Content-Length: 4")+"bodybye\n", "<fin>"),
	talks("websocket, broken answer", "200", raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
		websocket("/chat")),
	talks("and closes", "", func(net.Conn, *bufio.ReadWriter, *run) {}, get("/")),
	talks("raw answer", "200", raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour"), get("/")),
	talks("raw answer to the end", "200", raw("HTTP/1.0 200 OK\r\n\r\nto the end"), get("/")),
	talks("garbage", "", raw("garbage\n"), get("/")),
	talks("reads", "200", func(conn net.Conn, rw *bufio.ReadWriter, see *run) {
		rw.WriteString("HTTP/1.1 200 OK\r\n\r\n")
		rw.Flush()
		sendBack(conn, rw, see)
	}, next("GET / HTTP/1.1"), "<await 200 OK>", "one\n", "<await echo one>", "bye\n"),
	talks("reads what was sent early", "200", func(conn net.Conn, rw *bufio.ReadWriter, see *run) {
		see.note("buffered %d", rw.Reader.Buffered())
		rw.WriteString("HTTP/1.1 200 OK\r\n\r\n")
		rw.Flush()
		sendBack(conn, rw, see)
	}, next("GET / HTTP/1.1")+"one\ntwo\nbye\n"),
	talks("reads its body by itself", "200", func(conn net.Conn, rw *bufio.ReadWriter, see *run) {
		b := make([]byte, 4)
		_, err := io.ReadFull(rw, b)
		see.note("read %q %s", b, failure(err))
		raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(conn, rw, see)
	}, withLength("body")),
	talks("knows the addresses", "200", func(conn net.Conn, rw *bufio.ReadWriter, see *run) {
		see.note("from the client %v", conn.RemoteAddr().String() == see.of.client)
		raw("HTTP/1.0 200 OK\r\n\r\nknown")(conn, rw, see)
	}, get("/")),
	{name: "hijack after a header", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			w.WriteHeader(200)
			conn, _, err := http.NewResponseController(w).Hijack()
			see.note("hijack %v", err == nil)
			if err == nil {
				conn.Close()
			}
		}},
	{name: "hijack after a flush", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			io.WriteString(w, "some")
			see.flush(w)
			conn, _, err := http.NewResponseController(w).Hijack()
			see.note("hijack %v", err == nil)
			if err == nil {
				io.WriteString(conn, "4\r\nmore\r\n0\r\n\r\n")
				conn.Close()
			}
		}},
	{name: "hijack twice", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			c := http.NewResponseController(w)
			conn, _, err := c.Hijack()
			see.note("hijack %s", failure(err))
			_, _, err = c.Hijack()
			see.note("hijack %s", failure(err))
			if conn != nil {
				io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nonce")
				conn.Close()
			}
		}},
	{name: "hijack and panic", send: []string{get("/")}, want: "",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			conn, _, err := http.NewResponseController(w).Hijack()
			see.note("hijack %s", failure(err))
			if err == nil {
				conn.Close()
			}
			panic("hijacked")
		}},
	{name: "hijack and the handler returns before", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			conn, _, err := http.NewResponseController(w).Hijack()
			see.note("hijack %s", failure(err))
			if err == nil {
				go func() {
					defer conn.Close()
					io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nlater")
				}()
			}
		}},
	{name: "upgrade not taken", send: []string{websocket("/", "Connection: close")}, want: "200"},
	{name: "upgrade h2c",
		send: []string{get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
			"HTTP2-Settings: AAMAAABkAAQAAP__")}, want: "200"},
	{name: "upgrade of another protocol",
		send: []string{get("/", "Connection: Upgrade", "Upgrade: TLS/1.0, IRC/6.9")}, want: "200"},
	{name: "upgrade list with websocket",
		send: []string{get("/", "Connection: Upgrade", "Upgrade: h2c, websocket")}, want: "200"},
	{name: "upgrade websocket, version 1.0",
		send: []string{req("GET / HTTP/1.0", "Connection: Upgrade", "Upgrade: websocket")}, want: "200"},
	{name: "CONNECT with a body",
		send: []string{req("CONNECT h:443 HTTP/1.1", "Host: h:443",
			"Content-Length: 4") + "body" + get("/smuggled")}, want: "501"},
	{name: "CONNECT of a path", send: []string{line1("CONNECT /path HTTP/1.1")}, want: "501"},
	{name: "CONNECT without a port", send: []string{line1("CONNECT h HTTP/1.1")}, want: "501"},
}
