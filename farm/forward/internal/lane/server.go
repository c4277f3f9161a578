package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the acceptor: it runs the handler of requests that peers forward.
type Server struct {
	// Handle answers r, as http.Handler does; w is a *Writer's http.ResponseWriter. It may call w.Refuse
	// instead, before it begins with the request.
	Handle func(w *Writer, r *http.Request, f *Facts)

	// Load returns how busy this node is; it travels with each answer. nil = idle.
	Load func() Load

	// Context returns the context of all requests of a connection. nil = context.Background().
	Context func(c net.Conn) context.Context

	// PeerID returns the NodeID at the other end of a connection, which has proved it.
	PeerID func(c net.Conn) string

	// Logger takes what is to be said about panics and connections; nil = slog.Default().
	Logger *slog.Logger

	mu       sync.Mutex
	sessions map[sessionKey]*session // guarded by mu
	conns    map[net.Conn]func()     // how each is closed; guarded by mu
	closed   bool                    // guarded by mu
	draining bool                    // guarded by mu
	wg       sync.WaitGroup          // of everything but handlers
}

// sessionKey names a session: the number is the dialler's, so it counts only together with who that is.
type sessionKey struct {
	peer   string
	number uint64
}

// A session is a trunk with its lanes.
type session struct {
	trunk   *trunk
	running atomic.Int64 // exchanges
	drainMu sync.Mutex   // orders DRAIN frames

	mu    sync.Mutex
	lanes map[uint32]*serving // guarded by mu
}

// helloTime is how long a new connection may take to say hello.
const helloTime = 10 * time.Second

// Serve accepts connections until the listener is closed.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.add(c) {
			c.Close()
			continue
		}
		go func() {
			defer s.wg.Done()
			defer s.remove(c)
			s.serveConn(c)
		}()
	}
}

func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]func())
	}
	s.conns[c] = func() { c.Close() }
	s.wg.Add(1)
	return true
}

func (s *Server) remove(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Drain tells the dialling peers whether this node takes requests. What they send all the same is for Handle
// to refuse.
func (s *Server) Drain(on bool) {
	s.mu.Lock()
	s.draining = on
	all := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, ss := range all {
		go s.sendDrain(ss) // one that is stuck holds up nobody
	}
}

// sendDrain tells what is so now, so the last one tells the truth.
func (s *Server) sendDrain(ss *session) {
	ss.drainMu.Lock()
	defer ss.drainMu.Unlock()
	s.mu.Lock()
	on := s.draining
	s.mu.Unlock()
	ss.trunk.send(frame{kind: kDrain}, putBool(newFrame(nil), on))
}

// Close cuts all connections. The contexts of all requests end. It does not wait for their handlers.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	cut := slices.Collect(maps.Values(s.conns))
	s.mu.Unlock()
	for _, f := range cut {
		f()
	}
	s.wg.Wait()
}

// cutBy has Close call f for a connection.
func (s *Server) cutBy(c net.Conn, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = f
	if s.closed {
		go f()
	}
}

func (s *Server) serveConn(c net.Conn) {
	c.SetDeadline(time.Now().Add(helloTime))
	h, err := readHello(c)
	if err != nil {
		return // a stranger, or one that has gone
	}
	v, err := h.version()
	if err != nil {
		c.Write(welcome(0, err.Error()))
		return
	}
	key := sessionKey{number: h.session}
	if s.PeerID != nil {
		key.peer = s.PeerID(c)
	}
	switch h.use {
	case isTrunk:
		s.serveTrunk(c, key, v)
	case isLane:
		s.serveLane(c, key, h.lane, v)
	default:
		c.Write(welcome(0, fmt.Sprintf("connections of kind %d are not known", h.use)))
	}
}

func (s *Server) serveTrunk(c net.Conn, key sessionKey, v uint8) {
	ss := &session{lanes: make(map[uint32]*serving)}
	t := newTrunk(c)
	ss.trunk = t
	ctx := s.context(c)
	t.control = func(f frame, p []byte) error { return ss.receiveControl(f, p) }
	t.opened = func(st *stream) { go s.serveStream(ctx, ss, st) }
	draining, err := s.begin(key, ss)
	if err != nil {
		c.Write(welcome(0, err.Error()))
		return
	}
	defer s.end(key, ss)
	if _, err := c.Write(welcome(v, "")); err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	if draining {
		go s.sendDrain(ss)
	}
	go t.watch(func() bool { return ss.running.Load() > 0 })
	if err := t.read(); errors.Is(err, errProtocol) {
		s.logger().Warn("a peer's connection was cut", "peer", key.peer, "err", err)
	}
}

func (s *Server) context(c net.Conn) context.Context {
	if s.Context == nil {
		return context.Background()
	}
	return s.Context(c)
}

func (s *Server) begin(key sessionKey, ss *session) (draining bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errClosed
	}
	if s.sessions[key] != nil {
		return false, errors.New("there is such a session already")
	}
	if s.sessions == nil {
		s.sessions = make(map[sessionKey]*session)
	}
	s.sessions[key] = ss
	return s.draining, nil
}

// end is called when a trunk is lost: the dialler cannot give up its requests on lanes any more.
func (s *Server) end(key sessionKey, ss *session) {
	s.mu.Lock()
	delete(s.sessions, key)
	s.mu.Unlock()
	time.AfterFunc(orphanTime, func() { s.orphans(key.peer, ss) })
}

// orphanTime is how long requests on lanes go on after the trunk was lost, unless the dialler has another
// one.
const orphanTime = 5 * time.Second

// orphans gives up what runs on the lanes of a trunk that was lost, once the dialler seems to be gone. One
// that is back lives, and ends its lanes itself.
func (s *Server) orphans(peer string, ss *session) {
	if !s.hasTrunk(peer) {
		ss.cancelAll()
		return
	}
	if ss.running.Load() > 0 {
		time.AfterFunc(orphanTime, func() { s.orphans(peer, ss) })
	}
}

func (s *Server) hasTrunk(peer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.sessions {
		if key.peer == peer && !s.closed {
			return true
		}
	}
	return false
}

func (s *Server) session(key sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[key]
}

// cancelAll gives up whatever runs on the session's lanes, and closes them.
func (ss *session) cancelAll() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, l := range ss.lanes {
		l.close()
	}
}

// receiveControl takes what the dialler says on the trunk.
func (ss *session) receiveControl(f frame, p []byte) error {
	number, seq, err := parsePair(p)
	if err != nil {
		return err
	}
	ss.mu.Lock()
	l := ss.lanes[number]
	ss.mu.Unlock()
	switch f.kind {
	case kCancel:
		contextOnly := len(p) > 8 && p[8] != 0
		switch {
		case number == 0 && contextOnly:
			ss.trunk.endContext(seq)
		case l != nil:
			l.cancel(seq, contextOnly)
		}
	case kStatus:
		seen := l == nil || l.saw(seq) // a lane that is forgotten was lost long ago; nobody knows what it has seen
		b := putPair(number, seq)
		b = putBool(b, seen)
		ss.trunk.answer(frame{kind: kSeen}, b)
	}
	return nil
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.Default()
	}
	return s.Logger
}

func (s *Server) load() Load {
	if s.Load == nil {
		return Load{}
	}
	return s.Load()
}
