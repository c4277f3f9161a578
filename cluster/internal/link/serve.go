package link

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// What one connection may have at its answering end. Beyond the requests that are worked on, some wait there;
// beyond those they are refused. What comes is read all the time: also a sign of life that is asked for, the
// news that a request was given up, and the end of the connection.
const (
	maxRequests     = 256      // worked on at once
	maxWaiting      = 1024     // worked on or waiting
	maxWaitingBytes = 64 << 20 // of those, together
	maxShort        = 64       // short answers on their way
)

// Handler answers one request of the other end. Its context ends when the other end gives the request up, or
// the connection ends. An error travels as its code (wire.CodeOf).
type Handler func(ctx context.Context, m wire.Method, payload []byte) ([]byte, error)

// server is the answering end of a connection.
type server struct {
	ctx     context.Context
	conn    net.Conn
	handle  Handler
	writing turn
	w       *bufio.Writer
	slots   chan struct{} // has one for each request that is worked on
	short   chan struct{} // has one for each short answer that is on its way: to a ping, or a refusal

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
	waiting int // requests, those that are worked on among them
	bytes   int // of all payloads
}

// Serve answers the requests of one connection until it ends.
func Serve(ctx context.Context, conn net.Conn, handle Handler) {
	newServer(conn, handle).serve(ctx)
}

func newServer(conn net.Conn, handle Handler) *server {
	return &server{conn: conn, handle: handle, writing: newTurn(), w: bufio.NewWriterSize(conn, 32<<10),
		slots: make(chan struct{}, maxRequests), short: make(chan struct{}, maxShort),
		cancels: make(map[uint64]context.CancelFunc)}
}

// serve answers requests, each on a goroutine of its own, until the connection ends.
func (s *server) serve(ctx context.Context) {
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.conn.Close()
	defer cancel()
	r := bufio.NewReaderSize(s.conn, 32<<10)
	for {
		id, kind, payload, err := wire.ReadFrame(r)
		if err != nil {
			return
		}
		switch m := wire.Method(kind); m {
		case wire.MethodPing:
			s.shortly(&wg, id, nil)
		case wire.MethodCancel:
			s.cancel(id)
		case wire.MethodCommitted:
			s.handle(s.ctx, m, payload) // it does not wait, and has no answer
		default:
			ctx, done := s.begin(id, len(payload))
			if ctx == nil {
				s.shortly(&wg, id, wire.ErrInternal)
				continue
			}
			wg.Go(func() {
				defer done()
				s.work(ctx, id, m, payload)
			})
		}
	}
}

// shortly answers without a payload. Of those whose answers the other end is slow to read, the later ones get
// none.
func (s *server) shortly(wg *sync.WaitGroup, id uint64, err error) {
	select {
	case s.short <- struct{}{}:
		wg.Go(func() {
			defer func() { <-s.short }()
			s.answer(s.ctx, id, nil, err)
		})
	default:
	}
}

// begin makes room for a request; nil if there is none. Its context ends when the caller gives it up.
func (s *server) begin(id uint64, size int) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 && (s.waiting >= maxWaiting || s.bytes+size > maxWaitingBytes) {
		cancel()
		return nil, nil
	}
	s.cancels[id] = cancel
	s.waiting++
	s.bytes += size
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cancels, id)
		s.waiting--
		s.bytes -= size
	}
}

// cancel ends the work on a request that nobody waits for any more.
func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.cancels[id]; cancel != nil {
		cancel()
	}
}

// work answers one request when it has a slot.
func (s *server) work(ctx context.Context, id uint64, m wire.Method, payload []byte) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return
	}
	out, err := s.handle(ctx, m, payload)
	if len(out) > wire.MaxFrame {
		out, err = nil, fault.ErrTooLarge
	}
	s.answer(ctx, id, out, err)
}

// answer writes an answer, unless the caller has given up.
func (s *server) answer(ctx context.Context, id uint64, out []byte, err error) {
	if ctx.Err() != nil || s.writing.take(ctx) != nil {
		return
	}
	defer s.writing.give()
	s.conn.SetWriteDeadline(time.Now().Add(writePatience(len(out))))
	if wire.WriteFrame(s.w, id, byte(wire.CodeOf(err)), out) != nil {
		s.conn.Close()
	}
}
