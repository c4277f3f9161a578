package lane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnel is the client's connection as a handler sees it that has taken it over.
type tunnel struct {
	x      *exchange
	inline []byte // of the request's body, not read before; guarded by the exchange's rmu
	inData bool   // guarded by the exchange's rmu
	ended  error  // guarded by the exchange's rmu
	local  net.Addr
	once   sync.Once
	half   sync.Once // CloseWrite
	closed chan struct{}
}

// Hijack is of http.Hijacker.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.hijacked != nil:
		return nil, nil, http.ErrHijacked
	case w.done:
		return nil, nil, errFinished
	case w.x.req.ProtoMajor != 1:
		return nil, nil, fmt.Errorf("a connection of %s cannot be taken over: %w",
			w.x.req.Proto, errors.ErrUnsupported)
	}
	if !w.x.rmu.TryLock() {
		return nil, nil, errors.New("the request's body is being read")
	}
	defer w.x.rmu.Unlock()
	if err := w.flushLocked(0); err != nil {
		return nil, nil, err
	}
	if err := w.x.send(kTunnel, 0, newFrame(nil)); err != nil {
		return nil, nil, err
	}
	t := &tunnel{x: w.x, inline: w.x.body.inline, inData: w.x.body.inData, closed: make(chan struct{})}
	t.local, _ = w.x.ctx.Value(http.LocalAddrContextKey).(net.Addr)
	w.hijacked = t
	return t, bufio.NewReadWriter(bufio.NewReader(t), bufio.NewWriter(t)), nil
}

// tunnel returns the connection that the handler has taken over, nil if it has not.
func (w *Writer) tunnel() *tunnel {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hijacked
}

func (t *tunnel) Read(p []byte) (int, error) {
	t.x.rmu.Lock()
	defer t.x.rmu.Unlock()
	if n := copy(p, t.inline); n > 0 {
		t.inline = t.inline[n:]
		return n, nil
	}
	for t.ended == nil {
		if t.x.stale {
			return 0, net.ErrClosed
		}
		if t.inData {
			if n, err := readSome(t.x.c, p); n > 0 || err != nil || len(p) == 0 {
				return n, err
			}
		}
		f, err := t.x.c.next()
		if err != nil {
			return 0, err
		}
		switch t.inData = f.kind == kData; f.kind {
		case kEnd:
			t.ended = io.EOF
		case kReset, kReq: // after a request the lane belongs to the next one, which must not come
			t.ended = io.ErrUnexpectedEOF
		}
	}
	return 0, t.ended
}

func (t *tunnel) Write(p []byte) (n int, err error) {
	b := getBuffer()
	defer putBuffer(b)
	for {
		k := min(len(p), chunk)
		*b = append(newFrame(*b), p[:k]...)
		if err := t.x.send(kData, fFlush, *b); err != nil {
			return n, err
		}
		if n, p = n+k, p[k:]; len(p) == 0 {
			return n, nil
		}
	}
}

// CloseWrite ends what is sent, as of a net.TCPConn.
func (t *tunnel) CloseWrite() (err error) {
	t.half.Do(func() { err = t.x.send(kEnd, 0, newFrame(nil)) })
	return err
}

// Close is of net.Conn.
func (t *tunnel) Close() error {
	err := net.ErrClosed
	t.once.Do(func() {
		err = t.x.reset(resetCanceled, fStarted)
		t.x.c.interrupt() // a Read that waits
		close(t.closed)
	})
	return err
}

func (t *tunnel) LocalAddr() net.Addr { return t.local }

func (t *tunnel) RemoteAddr() net.Addr { return clientAddr(t.x.req.RemoteAddr) }

func (t *tunnel) SetDeadline(at time.Time) error      { return t.setDeadlines(&at, &at) }
func (t *tunnel) SetReadDeadline(at time.Time) error  { return t.setDeadlines(&at, nil) }
func (t *tunnel) SetWriteDeadline(at time.Time) error { return t.setDeadlines(nil, &at) }

func (t *tunnel) setDeadlines(read, write *time.Time) error {
	switch c := t.x.c.(type) {
	case *stream:
		c.setDeadlines(read, write)
	case *serverLane:
		if read != nil {
			c.Conn.SetReadDeadline(*read)
		}
		if write != nil {
			c.Conn.SetWriteDeadline(*write)
		}
	}
	return nil
}

// clientAddr is the address of a client, which this node has no connection with.
type clientAddr string

func (a clientAddr) Network() string { return "tcp" }
func (a clientAddr) String() string  { return string(a) }
