package farm

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// begunWith is how many bytes of an answer have its head leave this node: more than any buffer on the way keeps.
const begunWith = 64 << 10

// beginning is the ResponseWriter of an answer that has not begun on its way yet. A Strict rollout waits until it has:
// until the handler has flushed it, has written enough, has taken over the connection, or has returned.
type beginning struct {
	http.ResponseWriter
	count   interface{ Answered() } // told once: by which requests are counted
	told    atomic.Bool
	written int64
}

// over notes that the answer has begun, or is over.
func (b *beginning) over() {
	if !b.told.Swap(true) {
		b.count.Answered()
	}
}

func (b *beginning) wrote(n int64) {
	if b.written < begunWith {
		if b.written += n; b.written >= begunWith {
			b.over()
		}
	}
}

// Unwrap lets an http.ResponseController reach the server's own methods.
func (b *beginning) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *beginning) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p)
	b.wrote(int64(n))
	return n, err
}

// WriteString is of io.StringWriter.
func (b *beginning) WriteString(s string) (int, error) {
	n, err := io.WriteString(b.ResponseWriter, s)
	b.wrote(int64(n))
	return n, err
}

// ReadFrom is of io.ReaderFrom. It keeps sendfile for all but what makes the answer begin.
func (b *beginning) ReadFrom(r io.Reader) (int64, error) {
	to, ok := b.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{b}, r)
	}
	left := begunWith - b.written
	if left <= 0 {
		return to.ReadFrom(r)
	}
	first := &io.LimitedReader{R: r, N: left}
	part, ok := r.(*io.LimitedReader)
	if ok { // sendfile knows one of them around a file, and no two
		first = &io.LimitedReader{R: part.R, N: min(part.N, left)}
	}
	head, err := to.ReadFrom(first)
	if ok {
		part.N -= head
	}
	b.wrote(head)
	if err != nil || head < left {
		return head, err
	}
	n, err := to.ReadFrom(r)
	return head + n, err
}

// FlushError is what http.ResponseController.Flush calls.
func (b *beginning) FlushError() error {
	err := http.NewResponseController(b.ResponseWriter).Flush()
	if err == nil {
		b.over()
	}
	return err
}

// Flush is of http.Flusher.
func (b *beginning) Flush() { _ = b.FlushError() }

// Hijack is of http.Hijacker.
func (b *beginning) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(b.ResponseWriter).Hijack()
	if err == nil {
		b.over()
	}
	return conn, rw, err
}
