//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package tcpio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// most is how many bytes are read or written by one call that the scheduler does not know of: some microseconds.
const most = 32 << 10

// Of returns what reads from c, and writes to it, as c does: with the same results, errors and deadlines, beside others
// who use c itself.
func Of(c net.Conn) io.ReadWriter {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	q := &quick{tcp: tcp}
	q.in.raw, q.out.raw = raw.Read, raw.Write
	q.in.call, q.out.call = q.in.recv, q.out.send
	return q
}

// quick is a TCP connection.
type quick struct {
	tcp     *net.TCPConn
	in, out way
}

// way is one direction of it.
type way struct {
	raw  func(call func(fd uintptr) bool) error // waits for the network until call reports true
	call func(fd uintptr) bool                  // recv or send, once for all

	mu   sync.Mutex // held while something is read, or written
	b    []byte     // guarded by mu
	n    int        // of b, done; guarded by mu
	errs error      // of the system; guarded by mu
}

// Read is of io.Reader.
func (q *quick) Read(b []byte) (int, error) {
	if len(b) == 0 || len(b) > most {
		return q.tcp.Read(b)
	}
	n, err := q.in.do(b)
	return n, q.error("read", err)
}

// Write is of io.Writer.
func (q *quick) Write(b []byte) (int, error) {
	if len(b) == 0 || len(b) > most {
		return q.tcp.Write(b)
	}
	n, err := q.out.do(b)
	return n, q.error("write", err)
}

func (w *way) do(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b, w.n, w.errs = b, 0, nil
	err := w.raw(w.call)
	w.b = nil
	if err == nil {
		err = w.errs
	}
	return w.n, err
}

// recv reads something, or reports false if nothing is there.
func (w *way) recv(fd uintptr) bool {
	n, errno := transfer(syscall.SYS_RECVFROM, fd, w.b, syscall.MSG_DONTWAIT)
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		w.errs = os.NewSyscallError("read", errno)
	case n == 0:
		w.errs = io.EOF
	}
	w.n = n
	return true
}

// send writes all, or reports false if there is no room for the rest.
func (w *way) send(fd uintptr) bool {
	for w.n < len(w.b) {
		n, errno := transfer(syscall.SYS_SENDTO, fd, w.b[w.n:], syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		switch {
		case errno == syscall.EAGAIN:
			return false
		case errno != 0:
			w.errs = os.NewSyscallError("write", errno)
			return true
		}
		w.n += n
	}
	return true
}

// transfer makes a call that never waits. b is not empty.
func transfer(trap, fd uintptr, b []byte, flags uintptr) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(trap, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// error returns an error as package net has it.
func (q *quick) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if of, ok := errors.AsType[*net.OpError](err); ok { // of raw: its own
		of.Op = op
		return of
	}
	at := q.tcp.LocalAddr()
	return &net.OpError{Op: op, Net: at.Network(), Source: at, Addr: q.tcp.RemoteAddr(), Err: err}
}
