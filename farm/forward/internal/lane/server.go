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
	bundles  map[bundleKey]*bundle // guarded by mu
	conns    map[net.Conn]func()   // how each is closed; guarded by mu
	closed   bool                  // guarded by mu
	draining bool                  // guarded by mu
	wg       sync.WaitGroup        // of everything but handlers
}

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
	all := slices.Collect(maps.Values(s.bundles))
	s.mu.Unlock()
	for _, bd := range all {
		go s.sendDrain(bd) // one that is stuck holds up nobody
	}
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
	key := bundleKey{number: h.bundle}
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
	if _, err := c.Write(welcome(v, "")); err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	if draining {
		go s.sendDrain(bd)
	}
	go t.watch(func() bool { return bd.running.Load() > 0 })
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

func (s *Server) bundle(key bundleKey) *bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[key]
}

// cancelAll gives up whatever runs on the bundle's lanes, and closes them.
func (bd *bundle) cancelAll() {
	bd.mu.Lock()
	defer bd.mu.Unlock()
	for _, l := range bd.lanes {
		l.close()
	}
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
	case kStatus:
		seen := l == nil || l.saw(seq) // a lane that is forgotten was lost long ago; nobody knows what it has seen
		b := putPair(number, seq)
		b = putBool(b, seen)
		bd.trunk.answer(frame{kind: kSeen}, b)
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
