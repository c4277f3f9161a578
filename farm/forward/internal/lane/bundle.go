package lane

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// bundleKey names a bundle: the number is the dialler's, so it counts only together with who that is.
type bundleKey struct {
	peer   string
	number uint64
}

// A bundle is a trunk with its lanes.
type bundle struct {
	trunk   *trunk
	running atomic.Int64 // exchanges
	drainMu sync.Mutex   // orders DRAIN frames

	mu    sync.Mutex
	lanes map[uint32]*serverLane // guarded by mu
}

func (s *Server) serveTrunk(c net.Conn, key bundleKey, v uint8) {
	bd := &bundle{lanes: make(map[uint32]*serverLane)}
	t := newTrunk(c)
	bd.trunk = t
	ctx := s.context(c)
	t.control = func(f frame, p []byte) error { return bd.receiveControl(f, p) }
	t.opened = func(st *stream) { go s.serveStream(ctx, bd, st) }
	draining, err := s.begin(key, bd)
	if err != nil {
		c.Write(welcome(0, err.Error()))
		return
	}
	defer s.end(key, bd)
	s.cutBy(c, func() {
		t.sendOut(closeTime)
		c.Close()
	})
	if _, err := c.Write(welcome(v, "")); err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	if draining {
		go s.sendDrain(bd)
	}
	go t.watch(func() bool { return bd.running.Load() > 0 }, func() {
		if n := bd.cutUnheard(); n > 0 {
			s.logger().Warn("what is sent to a peer is lost again and again", "peer", key.peer, "connections", n,
				"advice", PathAdvice)
		}
	})
	if err := t.read(); errors.Is(err, errProtocol) {
		s.logger().Warn("a peer's connection was cut", "peer", key.peer, "err", err)
	}
}

func (s *Server) begin(key bundleKey, bd *bundle) (draining bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errClosed
	}
	if s.bundles[key] != nil {
		return false, errors.New("there is such a bundle already")
	}
	if s.bundles == nil {
		s.bundles = make(map[bundleKey]*bundle)
	}
	s.bundles[key] = bd
	return s.draining, nil
}

func (s *Server) bundle(key bundleKey) *bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[key]
}

// end is called when a trunk is lost: the dialler cannot give up its requests on lanes any more.
func (s *Server) end(key bundleKey, bd *bundle) {
	s.mu.Lock()
	delete(s.bundles, key)
	s.mu.Unlock()
	time.AfterFunc(orphanTime, func() { s.orphans(key.peer, bd) })
}

// orphanTime is how long requests on lanes go on after the trunk was lost, unless the dialler has another
// one.
const orphanTime = 5 * time.Second

// orphans gives up what runs on the lanes of a trunk that was lost, once the dialler seems to be gone. One
// that is back lives, and ends its lanes itself.
func (s *Server) orphans(peer string, bd *bundle) {
	if !s.hasTrunk(peer) {
		bd.cancelAll()
		return
	}
	if bd.running.Load() > 0 {
		time.AfterFunc(orphanTime, func() { s.orphans(peer, bd) })
	}
}

func (s *Server) hasTrunk(peer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.bundles {
		if key.peer == peer && !s.closed {
			return true
		}
	}
	return false
}

// sendDrain tells what is so now, so the last one tells the truth.
func (s *Server) sendDrain(bd *bundle) {
	bd.drainMu.Lock()
	defer bd.drainMu.Unlock()
	s.mu.Lock()
	on := s.draining
	s.mu.Unlock()
	bd.trunk.send(frame{kind: kDrain}, putBool(newFrame(nil), on))
}

// cancelAll gives up whatever runs on the bundle's lanes, and closes them.
func (bd *bundle) cancelAll() {
	bd.mu.Lock()
	defer bd.mu.Unlock()
	for _, l := range bd.lanes {
		l.close()
	}
}

// cutUnheard ends the lanes on which what was sent is lost again and again. It returns how many.
func (bd *bundle) cutUnheard() (n int) {
	bd.mu.Lock()
	lanes := slices.Collect(maps.Values(bd.lanes))
	bd.mu.Unlock()
	for _, l := range lanes {
		if l.unheard() {
			cutOff(l.Conn)
			l.close()
			n++
		}
	}
	return n
}

// receiveControl takes what the dialler says on the trunk.
func (bd *bundle) receiveControl(f frame, p []byte) error {
	number, seq, err := parsePair(p)
	if err != nil {
		return err
	}
	bd.mu.Lock()
	l := bd.lanes[number]
	bd.mu.Unlock()
	switch f.kind {
	case kCancel:
		contextOnly := len(p) > 8 && p[8] != 0
		switch {
		case number == 0 && contextOnly:
			bd.trunk.endContext(seq)
		case l != nil:
			l.cancel(seq, contextOnly)
		}
	case kLeave:
		if number == 0 {
			bd.trunk.leave(seq)
		} else if l != nil {
			l.leave(seq)
		}
	case kStatus:
		seen := l == nil || l.saw(seq) // a lane that is forgotten was lost long ago, and may have seen it
		b := putPair(number, seq)
		b = putBool(b, seen)
		bd.trunk.answer(frame{kind: kSeen}, b)
	}
	return nil
}

// maxLanes is how many lanes a bundle may have.
const maxLanes = 4096

func (bd *bundle) add(l *serverLane) bool {
	bd.mu.Lock()
	defer bd.mu.Unlock()
	if bd.lanes[l.number] != nil || len(bd.lanes) >= maxLanes {
		return false
	}
	bd.lanes[l.number] = l
	return true
}

// remove forgets a lane once nobody can ask for its requests any more.
func (bd *bundle) remove(l *serverLane) {
	l.close()
	time.AfterFunc(askTime, func() {
		bd.mu.Lock()
		defer bd.mu.Unlock()
		delete(bd.lanes, l.number)
	})
}

// askTime is how long it may be asked whether a request of a lane was seen, after the lane was lost.
const askTime = 5 * time.Second

// serveStream answers the request that a stream begins with.
func (s *Server) serveStream(ctx context.Context, bd *bundle, st *stream) {
	bd.running.Add(1)
	defer bd.running.Add(-1)
	defer bd.trunk.forget(st)
	x := &exchange{server: s, c: st}
	defer x.ended()
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	defer x.cancel(errFinished)
	f, err := st.next()
	if err != nil {
		return
	}
	x.rmu.Lock()
	st.onEnd(func() {
		bd.trunk.forget(st)
		st.interrupt()
		x.giveUp(errCanceled)
	}, func() { x.cancel(context.Canceled) })
	st.leave.wait(x.leave.give)
	x.run(f)
}
