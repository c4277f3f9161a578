package lane

import (
	"io"
	"sync"
	"time"
)

// shortMost is how long a body may be that is always kept for every attempt. See Memory for longer ones.
const shortMost = chunk

// shortWait is how long a request waits for its short body, to take it along. Most bodies are there already.
const shortWait = 10 * time.Millisecond

// short is a body of known length that is kept. A goroutine of its own reads it from the client and keeps
// it.
type short struct {
	full chan struct{} // closed when nothing more comes

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte // what has come; it is only appended to, within its capacity; guarded by mu
	err     error  // how it ended, io.EOF where all is there; nil = not yet; guarded by mu
}

func newShort(body io.Reader, length int64) *short {
	s := &short{full: make(chan struct{}), buf: make([]byte, 0, length)}
	s.changed.L = &s.mu
	go s.fill(body)
	return s
}

// fill reads until the end. A server that is done with the request ends that too.
func (s *short) fill(body io.Reader) {
	defer close(s.full)
	for rest := s.buf[:cap(s.buf)]; ; {
		n, err := body.Read(rest)
		if rest = rest[n:]; err == nil && len(rest) == 0 {
			err = io.EOF
		}
		s.mu.Lock()
		s.buf, s.err = s.buf[:len(s.buf)+n], err
		s.changed.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits for the end, for a moment.
func (s *short) wait() {
	timer := time.NewTimer(shortWait)
	defer timer.Stop()
	select {
	case <-s.full:
	case <-timer.C:
	}
}

// all returns the body and how it ended, once it has; false before.
func (s *short) all() (p []byte, err error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && s.err != io.EOF {
		err = s.err
	}
	return s.buf, err, s.err != nil
}

// shortReader reads a short body from its beginning.
type shortReader struct {
	of  *short
	off int
}

func (r *shortReader) Read(p []byte) (int, error) {
	s := r.of
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == r.off && s.err == nil {
		s.changed.Wait()
	}
	n := copy(p, s.buf[r.off:])
	if r.off += n; n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, s.err
}
