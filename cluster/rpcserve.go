package cluster

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// What one connection may have at its answering end. Beyond the requests that are worked on, some wait there; beyond those they are
// refused. What comes is read all the time: also a sign of life that is asked for, the news that a request was given up, and the
// end of the connection.
const (
	maxRequests     = 256      // worked on at once
	maxWaiting      = 1024     // worked on or waiting
	maxWaitingBytes = 64 << 20 // of those, together
	maxShort        = 64       // short answers on their way
)

// rpcHandler answers one request of the member at the other end.
type rpcHandler func(ctx context.Context, from wire.Hello, m wire.Method, payload []byte) ([]byte, error)

// rpcServer is the answering end of a connection.
type rpcServer struct {
	ctx     context.Context
	conn    net.Conn
	from    wire.Hello
	handle  rpcHandler
	writing turn
	w       *bufio.Writer
	slots   chan struct{} // has one for each request that is worked on
	short   chan struct{} // has one for each short answer that is on its way: to a ping, or a refusal

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
	waiting int // requests, those that are worked on among them
	bytes   int // of all payloads
}

// serveRPC answers the requests of one connection until it ends.
func serveRPC(ctx context.Context, conn net.Conn, from wire.Hello, handle rpcHandler) {
	newRPCServer(conn, from, handle).serve(ctx)
}

func newRPCServer(conn net.Conn, from wire.Hello, handle rpcHandler) *rpcServer {
	return &rpcServer{conn: conn, from: from, handle: handle, writing: newTurn(), w: bufio.NewWriterSize(conn, 32<<10),
		slots: make(chan struct{}, maxRequests), short: make(chan struct{}, maxShort), cancels: make(map[uint64]context.CancelFunc)}
}

// serve answers requests, each on a goroutine of its own, until the connection ends.
func (s *rpcServer) serve(ctx context.Context) {
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

// shortly answers without a payload. Of those whose answers the other end is slow to read, the later ones get none.
func (s *rpcServer) shortly(wg *sync.WaitGroup, id uint64, err error) {
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
func (s *rpcServer) begin(id uint64, size int) (ctx context.Context, done func()) {
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
func (s *rpcServer) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.cancels[id]; cancel != nil {
		cancel()
	}
}

// work answers one request when it has a slot.
func (s *rpcServer) work(ctx context.Context, id uint64, m wire.Method, payload []byte) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return
	}
	out, err := s.handle(ctx, s.from, m, payload)
	if len(out) > wire.MaxFrame {
		out, err = nil, ErrTooLarge
	}
	s.answer(ctx, id, out, err)
}

// answer writes an answer, unless the caller has given up.
func (s *rpcServer) answer(ctx context.Context, id uint64, out []byte, err error) {
	if ctx.Err() != nil || s.writing.take(ctx) != nil {
		return
	}
	defer s.writing.give()
	s.conn.SetWriteDeadline(time.Now().Add(writePatience(len(out))))
	if wire.WriteFrame(s.w, id, byte(wire.CodeOf(err)), out) != nil {
		s.conn.Close()
	}
}
