package lane

import (
	"bufio"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

const (
	window    = 64 << 10 // bytes of bodies that may be on their way in a stream at first
	maxWindow = 1 << 20  // when its reader keeps up
)

// stream is an exchange on a trunk, at either end.
type stream struct {
	t  *trunk
	id uint32 // 0 until the request is sent

	cancelled bool // before that: the context of the request has ended; guarded by t.mu
	leaves    bool // before that: the handler is to come to an end; guarded by t.mu

	mu      sync.Mutex
	changed sync.Cond
	in      []item // frames that have come; guarded by mu
	cur     item   // the one that is read; guarded by mu
	off     int    // of cur; guarded by mu
	err     error  // why nothing more comes; guarded by mu
	stopped bool   // waits are interrupted; guarded by mu

	granted int // bytes that the other end may still send; guarded by mu
	window  int // how many at once; guarded by mu
	read    int // bytes read and not granted again; guarded by mu
	credit  int // bytes that may still be sent; guarded by mu
	free    int // frames that cost nothing, so far; guarded by mu

	readBy, writeBy deadline // of a tunnel; guarded by mu

	gone     func() // called when the other end is lost, or has given up; nil = nobody; guarded by mu
	ctxEnded bool   // the context of the request is to end, or has; guarded by mu
	endCtx   func() // ends the context of the request; nil = there is none; guarded by mu
	leave    notice // that the handler is to come to an end

	limits atomic.Pointer[limits] // at the dialler; nil = none
}

// maxFree is how many frames that cost nothing a stream may have: one of a kind as a rule.
const maxFree = 32

// cost returns what a frame takes of its stream's window: all kinds do of which there may be many.
func (f frame) cost() int {
	if f.kind == kData || f.kind == kDeadline || f.kind == kRes && f.flags&fInterim != 0 {
		return min(headerSize+f.n, headerSize+chunk) // what take gives at most
	}
	return 0
}

// item is a frame that has come.
type item struct {
	frame
	p []byte
}

func newStream(t *trunk, id uint32) *stream {
	s := &stream{t: t, id: id, granted: window, window: window, credit: window}
	s.changed.L = &s.mu
	return s
}

// receive takes a frame. It is called by the reading goroutine of the trunk. What is wrong with the frame
// ends the stream, and an error is about the trunk.
func (s *stream) receive(f frame, br *bufio.Reader) error {
	p, err := readPayload(f, br)
	if err != nil {
		return err
	}
	s.mu.Lock()
	err = s.takeLocked(f, p)
	s.mu.Unlock()
	if err != nil {
		s.t.fail(s, err)
	}
	return nil
}

func readPayload(f frame, br *bufio.Reader) ([]byte, error) {
	p := make([]byte, 0, min(f.n, 64<<10)) // no more than has come
	for len(p) < f.n {
		if _, err := br.Peek(1); err != nil {
			return nil, err
		}
		b, _ := br.Peek(min(br.Buffered(), f.n-len(p)))
		p = append(p, b...)
		br.Discard(len(b))
	}
	return p, nil
}

func (s *stream) takeLocked(f frame, p []byte) error {
	if s.err != nil {
		return nil
	}
	defer s.changed.Broadcast()
	if f.kind == kWindow {
		if len(p) < 4 {
			return malformed("WINDOW")
		}
		s.credit += int(binary.BigEndian.Uint32(p))
		return nil
	}
	if cost := f.cost(); cost > 0 {
		if s.granted -= cost; s.granted < 0 {
			return malformed("frame beyond its window")
		}
	} else if s.free++; s.free > maxFree {
		return malformed("stream with too many frames")
	}
	s.in = append(s.in, item{f, p})
	if f.kind == kReset && s.gone != nil {
		go s.gone() // not here: this goroutine must go on reading
	}
	return nil
}

// end says that nothing more comes, because the trunk is lost.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.changed.Broadcast()
	if s.gone != nil {
		go s.gone()
	}
}

func (s *stream) endContext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctxEnded = true; s.endCtx != nil {
		s.endCtx()
	}
}

// onEnd has f called when the other end has given up or is lost, which may be the case already; and context
// when only the context of the request is to end.
func (s *stream) onEnd(f, context func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.endCtx = f, context
	if s.ctxEnded {
		context()
	}
	for _, it := range s.in {
		if it.kind == kReset {
			go f()
			return
		}
	}
	if s.err != nil {
		go f()
	}
}

func (s *stream) send(k kind, flags uint8, b []byte) error {
	switch f := (frame{kind: k, flags: flags, n: len(b) - headerSize}); {
	case k == kData:
		return s.sendData(flags, b)
	case k == kReq:
		return s.t.request(s, flags, b)
	case f.cost() > 0:
		if _, err := s.take(f.cost(), f.cost()); err != nil {
			return err
		}
	}
	return s.t.send(frame{kind: k, flags: flags, id: s.id}, b)
}

func (s *stream) sendData(flags uint8, b []byte) error {
	for {
		cost, err := s.take(headerSize+min(1, len(b)-headerSize), len(b))
		if err != nil {
			return err
		}
		f := flags
		if cost < len(b) {
			f &^= fFlush
		}
		if err := s.t.send(frame{kind: kData, flags: f, id: s.id}, b[:cost]); err != nil {
			return err
		}
		if cost == len(b) {
			return nil
		}
		b = append(b[:headerSize], b[cost:]...)
	}
}

// take waits until at least so much may be sent, and returns how much of what is wanted.
func (s *stream) take(least, want int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit < least {
		switch {
		case s.err != nil:
			return 0, s.err
		case s.stopped:
			return 0, errInterrupted
		case s.writeBy.passed():
			return 0, errDeadline
		}
		s.changed.Wait()
	}
	n := min(want, max(s.credit, least), headerSize+chunk)
	s.credit -= n
	return n, nil
}

func (s *stream) next() (frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usedLocked(s.cur.cost())
	s.cur, s.off = item{}, 0
	for len(s.in) == 0 {
		if err := s.waitLocked(); err != nil {
			return frame{}, err
		}
	}
	s.cur = s.in[0]
	if s.in[0] = (item{}); len(s.in) == 1 {
		s.in = nil // an idle stream holds nothing
	} else {
		s.in = s.in[1:]
	}
	return s.cur.frame, nil
}

// waitLocked waits for a change, unless there is a reason not to.
func (s *stream) waitLocked() error {
	switch {
	case s.err != nil:
		return s.err
	case s.stopped:
		return errInterrupted
	case s.readBy.passed():
		return errDeadline
	}
	s.changed.Wait()
	return nil
}

// peek returns all that is left: a frame of a stream has come whole.
func (s *stream) peek() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur.p[s.off:], nil
}

func (s *stream) payload() ([]byte, error) {
	b, err := s.peek()
	s.skip(len(b))
	return b, err
}

func (s *stream) skip(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off += n
}

// usedLocked notes that a frame was read, and lets the other end send as many again, soon enough that it need
// not wait. A reader that keeps up gets a larger window.
func (s *stream) usedLocked(n int) {
	s.read += n
	if s.read < s.window/2 || s.err != nil {
		return
	}
	grant := s.read
	if s.granted == 0 && s.window < maxWindow {
		grant += s.window
		s.window *= 2
	}
	s.granted += grant
	s.read = 0
	s.mu.Unlock() // the trunk's lock is outside of a stream's
	b := binary.BigEndian.AppendUint32(newFrame(nil), uint32(grant))
	s.t.send(frame{kind: kWindow, id: s.id}, b)
	s.mu.Lock()
}

func (s *stream) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.changed.Broadcast()
}
