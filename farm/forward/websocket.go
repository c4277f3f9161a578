package forward

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnelWriter is the http.ResponseWriter of a request for a WebSocket. When its connection is taken over,
// it is a stream that a drain can end.
type tunnelWriter struct {
	http.ResponseWriter
	pass  *pass
	grace time.Duration // for the handler to say goodbye, once it was told to
}

// Unwrap lets an http.ResponseController reach the server's own methods.
func (w *tunnelWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is what http.Flusher asks for.
func (w *tunnelWriter) Flush() { http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack takes the connection over.
func (w *tunnelWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	st := w.pass.takeOver()
	if st == nil {
		return conn, rw, nil
	}
	t := &webSocket{Conn: conn, pass: w.pass, stream: st, closed: make(chan struct{})}
	if rw.Writer.Buffered() > 0 {
		rw.Writer.Flush()
	}
	w.pass.gate.streams.arm(st, t.goodbye, w.grace)
	return t, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(t, rw.Writer.Size())), nil
}

// takeOver notes that the connection is the handler's own. It returns the request as a stream, nil if the
// handler has returned.
func (p *pass) takeOver() *stream {
	st := p.asStream()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	p.tunnel = true
	return st
}

// webSocket is the connection of one, which a drain can end: it knows where a frame of the protocol ends.
type webSocket struct {
	net.Conn
	pass   *pass
	stream *stream
	once   sync.Once
	closed chan struct{}

	mu     sync.Mutex // held while something is written
	frames frames     // written so far; guarded by mu
	over   bool       // a close frame was written; guarded by mu
}

// NetConn returns the connection beneath, as that of a tls.Conn does.
func (t *webSocket) NetConn() net.Conn { return t.Conn }

func (t *webSocket) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return 0, net.ErrClosed
	}
	n, err := t.Conn.Write(b)
	t.frames.pass(b[:n])
	return n, err
}

// CloseWrite ends what is written, where the connection beneath can.
func (t *webSocket) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return http.ErrNotSupported
}

// Close closes the connection.
func (t *webSocket) Close() error {
	t.once.Do(func() {
		close(t.closed)
		p := t.pass
		p.mu.Lock()
		p.tunnel = false
		p.mu.Unlock()
		p.gate.streams.leave(t.stream)
	})
	return t.Conn.Close()
}

const (
	goodbyeTime = time.Second // for a close frame to be written, and for its answer
	goingAway   = 1001        // RFC 6455: a server is going down
)

// goodbye ends the tunnel: by a close frame, if what was written so far ends with a frame, and by closing
// the connection once the other end has answered, or a moment later. Where the handler is in the middle of
// a frame there is no room for one.
func (t *webSocket) goodbye() {
	if t.mu.TryLock() {
		told := false
		if t.frames.between() && !t.over {
			t.over, told = true, true
			t.Conn.SetWriteDeadline(time.Now().Add(goodbyeTime))
			t.Conn.Write([]byte{0x88, 2, goingAway >> 8, goingAway & 0xff})
		}
		t.mu.Unlock()
		if told { // the handler reads the answer, and most often it closes the connection then
			timer := time.NewTimer(goodbyeTime)
			defer timer.Stop()
			select {
			case <-t.closed:
			case <-timer.C:
			}
		}
	}
	t.Close()
}
