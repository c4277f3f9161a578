package texthop

import (
	"bufio"
	"maps"
	"net"
	"net/http"
)

// hopWriter is the http.ResponseWriter that the reverse proxy writes a peer's answer to. It keeps the peer's
// header apart from what this node has set already, because httputil.ReverseProxy empties the header after
// each 1xx response; and it keeps the hop's own "100 Continue" from a client that did not ask for one.
type hopWriter struct {
	out       http.ResponseWriter
	x         *exchange
	header    http.Header // of the peer's answer
	committed bool        // the final status was written, or the connection taken over
}

// Unwrap lets an http.ResponseController reach the server's own methods.
func (w *hopWriter) Unwrap() http.ResponseWriter { return w.out }

func (w *hopWriter) Header() http.Header {
	if w.committed {
		return w.out.Header() // trailers
	}
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *hopWriter) WriteHeader(status int) {
	switch {
	case w.committed:
	case status == http.StatusContinue: // the server sends its own when the body is first read
		if w.x.body != nil {
			w.x.Upload.Touch()
		}
	case status < 200:
		w.writeInterim(status)
	default:
		h := w.out.Header()
		maps.Copy(h, w.header)
		if _, typed := w.header["Content-Type"]; !typed {
			h["Content-Type"] = nil // nor does this node's server guess one
		}
		if w.x.BeforeHeader != nil {
			w.x.BeforeHeader(status, false)
		}
		w.committed = true
		w.out.WriteHeader(status)
	}
}

// writeInterim sends a 1xx response with the peer's fields and none of our own.
func (w *hopWriter) writeInterim(status int) {
	h := w.out.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, w.header)
	w.out.WriteHeader(status)
	clear(h)
	maps.Copy(h, own)
}

func (w *hopWriter) Write(b []byte) (int, error) {
	if !w.committed {
		w.WriteHeader(http.StatusOK)
	}
	return w.out.Write(b)
}

// Hijack takes over the client's connection. What the client sent right behind its request is read first: the
// reverse proxy copies from the connection alone.
func (w *hopWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.out).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.committed = true
	if brw.Reader.Buffered() > 0 {
		conn = &eagerConn{Conn: conn, early: brw.Reader}
	}
	return conn, brw, nil
}

// eagerConn is a connection of which some bytes were read already.
type eagerConn struct {
	net.Conn
	early *bufio.Reader
}

func (c *eagerConn) Read(b []byte) (int, error) {
	if n := c.early.Buffered(); n > 0 {
		return c.early.Read(b[:min(n, len(b))])
	}
	return c.Conn.Read(b)
}
