package lane

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// trunk is the shared connection of two peers, at either end.
//
// What is sent goes into a buffer. Whoever finds nobody writing writes it, with all that others add
// meanwhile, so under load many frames share a system call and a TLS record. Windows bound what streams put
// there, so nothing waits for long; what has no window waits while the buffer is full.
type trunk struct {
	conn    net.Conn
	control func(f frame, payload []byte) error // a control frame has come; of the reading goroutine
	opened  func(s *stream)                     // the other end has begun a stream; nil at the dialler

	mu      sync.Mutex
	room    sync.Cond          // what was written has left
	pending []byte             // guarded by mu
	spare   []byte             // guarded by mu
	writing bool               // guarded by mu
	err     error              // why the trunk has ended; guarded by mu
	streams map[uint32]*stream // guarded by mu
	last    uint32             // number of the newest stream, at the dialler; guarded by mu
	ended   chan struct{}      // closed when err is set

	answers atomic.Int32 // that wait to be sent

	heard bool // something has come since the last look; guarded by mu
	quiet int  // looks without; guarded by mu
}

const (
	maxPending = 1 << 20     // bytes that wait to be written before senders wait
	maxAnswers = 1 << 10     // that wait to be sent
	maxStreams = 1 << 16     // of one trunk
	lookEvery  = time.Second // see watch
	pingAfter  = 2           // looks
	deadAfter  = 7           // looks
)

func newTrunk(c net.Conn) *trunk {
	t := &trunk{conn: c, streams: make(map[uint32]*stream), ended: make(chan struct{})}
	t.room.L = &t.mu
	return t
}

// send writes a frame, or leaves it to the goroutine that writes.
func (t *trunk) send(f frame, b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sendLocked(f, b)
}

func (t *trunk) sendLocked(f frame, b []byte) error {
	t.waitLocked(f.kind)
	return t.appendLocked(f, b)
}

// waitLocked waits for room, for frames that may wait.
func (t *trunk) waitLocked(k kind) {
	for len(t.pending) > maxPending && t.err == nil && k != kPing && k != kWindow {
		t.room.Wait()
	}
}

func (t *trunk) appendLocked(f frame, b []byte) error {
	f.n = len(b) - headerSize
	f.put(b)
	if t.err != nil {
		return t.err
	}
	t.pending = append(t.pending, b...)
	if t.writing {
		return nil // whether it has left, nobody knows yet; if the trunk ends, its streams do
	}
	if end := len(t.pending); t.writeLocked() < end {
		return t.err
	}
	return nil // also if the trunk has ended meanwhile: the other end has the frame
}

// writeLocked writes until nothing is left. It returns how much has left of what there was at first.
func (t *trunk) writeLocked() (first int) {
	t.writing = true
	for written := false; len(t.pending) > 0 && t.err == nil; written = true {
		b := t.pending
		t.pending, t.spare = t.spare[:0], nil
		t.mu.Unlock()
		n, err := t.conn.Write(b)
		t.mu.Lock()
		if !written {
			first = n
		}
		if cap(b) <= 2*maxPending {
			t.spare = b[:0]
		}
		t.room.Broadcast()
		if err != nil {
			t.endLocked(fmt.Errorf("%w: %w", errLost, err))
		}
	}
	t.writing = false
	return first
}

// endLocked ends the trunk and all of its streams.
func (t *trunk) endLocked(err error) {
	if t.err != nil {
		return
	}
	t.err = err
	close(t.ended)
	t.room.Broadcast()
	for _, s := range t.streams {
		s.end(err)
	}
	go t.conn.Close() // TLS says goodbye, and may wait for that
}

func (t *trunk) close(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(err)
}

// sendOut waits until all that was given to send has left, for as long as the limit says: then the connection is
// closed, since the other end takes nothing.
func (t *trunk) sendOut(limit time.Duration) {
	late := time.AfterFunc(limit, func() { t.conn.Close() })
	defer late.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.err == nil && (t.writing || len(t.pending) > 0) {
		t.room.Wait()
	}
}

func (t *trunk) alive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err == nil
}

// open returns a new stream. It has no number until its request is sent.
func (t *trunk) open() (*stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return nil, t.err
	case len(t.streams) >= maxStreams:
		return nil, fmt.Errorf("%d requests are under way to this peer", maxStreams)
	}
	return newStream(t, 0), nil
}

// request sends the frame with which a stream begins. Numbers grow in the order of sending, and begin anew
// after the last one.
func (t *trunk) request(s *stream, flags uint8, b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waitLocked(kReq) // before the number is taken
	if t.err != nil {
		return t.err
	}
	for t.last = t.last%maxID + 1; t.streams[t.last] != nil; t.last = t.last%maxID + 1 {
	}
	s.id = t.last
	t.streams[s.id] = s
	err := t.appendLocked(frame{kind: kReq, flags: flags, id: s.id}, b)
	if s.cancelled && err == nil {
		t.appendLocked(frame{kind: kCancel}, putBool(putPair(0, s.id), true))
	}
	if s.leaves && err == nil {
		t.appendLocked(frame{kind: kLeave}, putPair(0, s.id))
	}
	return err
}

// cancelContext has the acceptor end the context of the request of a stream, and nothing more.
func (t *trunk) cancelContext(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.id == 0 {
		s.cancelled = true
		return
	}
	t.sendLocked(frame{kind: kCancel}, putBool(putPair(0, s.id), true))
}

// endContext ends the context of the request on a stream, and nothing more.
func (t *trunk) endContext(id uint32) {
	t.mu.Lock()
	s := t.streams[id]
	t.mu.Unlock()
	if s != nil {
		s.endContext()
	}
}

// forget takes a stream out. Frames that still come for it are ignored.
func (t *trunk) forget(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[s.id] == s { // numbers are used again
		delete(t.streams, s.id)
	}
}

// fail ends a stream that does not keep to the protocol, and no other.
func (t *trunk) fail(s *stream, err error) {
	t.forget(s)
	s.end(err)
	t.answer(frame{kind: kReset, flags: fStarted, id: s.id}, append(newFrame(nil), resetCanceled))
}

// read reads until the trunk ends. It returns why.
func (t *trunk) read() error {
	err := t.readFrames()
	t.close(fmt.Errorf("%w: %w", errLost, err))
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *trunk) readFrames() error {
	br := bufio.NewReaderSize(t.conn, 64<<10)
	for {
		b, err := br.Peek(headerSize)
		if err != nil {
			return err
		}
		f := parseFrame(b)
		br.Discard(headerSize)
		known, err := f.known()
		if err != nil {
			return err
		}
		if !known {
			if _, err := br.Discard(f.n); err != nil {
				return err
			}
			continue
		}
		if err := t.dispatch(f, br); err != nil {
			return err
		}
	}
}

// dispatch hands a frame over. Streams take no more than their window, so it never waits for one.
func (t *trunk) dispatch(f frame, br *bufio.Reader) error {
	s, fresh, err := t.find(f)
	if err != nil {
		return err
	}
	if f.kind >= kCancel {
		p := make([]byte, f.n)
		if f.n > 1<<10 {
			return malformed(f.kind.String())
		}
		if _, err := io.ReadFull(br, p); err != nil {
			return err
		}
		return t.receiveControl(f, p)
	}
	if s == nil {
		_, err := br.Discard(f.n)
		return err
	}
	if err := s.receive(f, br); err != nil {
		return err
	}
	if fresh {
		t.opened(s)
	}
	return nil
}

func (t *trunk) receiveControl(f frame, p []byte) error {
	switch f.kind {
	case kPing:
		t.answer(frame{kind: kPong}, newFrame(nil))
		return nil
	case kPong:
		return nil
	}
	return t.control(f, p)
}

// answer sends what the other end has asked for. Another goroutine does it: if both ends' readers wrote,
// nobody might read. An end that asks and asks, and takes no answers, loses the trunk.
func (t *trunk) answer(f frame, b []byte) {
	if t.answers.Add(1) > maxAnswers {
		t.close(fmt.Errorf("%w: %d answers wait to be read", errProtocol, maxAnswers))
		return
	}
	go func() {
		defer t.answers.Add(-1)
		t.send(f, b)
	}()
}

// find returns the stream that a frame is for, nil if there is none. At the acceptor a REQ begins one.
func (t *trunk) find(f frame) (s *stream, fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard, t.quiet = true, 0
	if f.kind >= kCancel {
		return nil, false, nil
	}
	if f.kind != kReq {
		return t.streams[f.id], false, nil
	}
	if t.opened == nil || f.id == 0 || t.streams[f.id] != nil {
		return nil, false, fmt.Errorf("%w: REQ %d", errProtocol, f.id)
	}
	if len(t.streams) >= 2*maxStreams {
		return nil, false, fmt.Errorf("%w: too many streams", errProtocol)
	}
	s = newStream(t, f.id)
	t.streams[f.id] = s
	return s, true, nil
}

// watch asks for a sign of life while the trunk is busy and nothing comes, and ends it when none does. It
// counts looks and not time: a process that was held up reads what came meanwhile before it judges.
// With each look it calls lanes, which looks at the connections beside the trunk.
func (t *trunk) watch(busy func() bool, lanes func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.ended:
			return
		case <-tick.C:
		}
		lanes()
		if t.look(busy()) {
			t.answer(frame{kind: kPing}, newFrame(nil)) // whoever writes may wait, and this goroutine must not
		}
	}
}

// look reports whether a sign of life is to be asked for.
func (t *trunk) look(busy bool) (ask bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !busy || t.heard {
		t.heard, t.quiet = false, 0
		return false
	}
	t.quiet++
	if t.quiet >= deadAfter {
		t.endLocked(errSilent)
		return false
	}
	// One that waits to write cannot ask, and need not.
	return t.quiet >= pingAfter && !t.writing
}
