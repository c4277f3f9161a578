package lane

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server is the acceptor: it runs the handler of requests that peers forward.
type Server struct {
	// Handle answers r, as http.Handler does; w is a *Writer's http.ResponseWriter. It may call w.Refuse
	// instead, before it begins with the request.
	Handle func(w *Writer, r *http.Request, f *Facts)

	// Ended is called once for each call of Handle, when that has returned and the last frame of its answer has
	// left, or cannot any more, or leaves before Close has closed its connection; of a connection that was taken
	// over, when Handle has returned. A node that stops waits for it, and not for Handle: it must not cut off the
	// answer. nil = nobody.
	Ended func()

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

// closeTime is how long Close waits for frames to leave whose exchanges have ended.
const closeTime = time.Second

// Close cuts all connections. The contexts of all requests end. It does not wait for their handlers; but what
// was answered leaves first, if its connection takes it within closeTime.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	cut := slices.Collect(maps.Values(s.conns))
	s.mu.Unlock()
	var ends sync.WaitGroup
	for _, f := range cut {
		ends.Go(f)
	}
	ends.Wait()
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

func (s *Server) context(c net.Conn) context.Context {
	if s.Context == nil {
		return context.Background()
	}
	return s.Context(c)
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
