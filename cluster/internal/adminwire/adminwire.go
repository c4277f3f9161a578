// Package adminwire is what an operator's tool and a node say to each other on the peer port, once TLS has
// proved that one operates the farm and the other is a node of it.
//
// A connection carries one exchange: the tool sends a Request, and with some verbs a stream after it; the
// node answers with a stream, with some verbs, and then with one answer or one failure. Everything is in
// frames:
//
//	length (uint32), kind (byte), payload
//
// Requests, answers and failures are JSON, in which unknown fields mean nothing, so that a tool and a node of
// different versions understand each other; a stream is chunks of bytes and an end.
package adminwire

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
)

// Kind is what a frame is.
type Kind byte

// The kinds of frames.
const (
	KindRequest Kind = 1
	KindChunk   Kind = 2
	KindEnd     Kind = 3 // of chunks
	KindAnswer  Kind = 4
	KindFailure Kind = 5
)

const (
	maxFrame  = 4 << 20
	chunkSize = 64 << 10
)

// What an operator can ask for.
const (
	VerbFarm     = "farm"     // -> admin.Farm
	VerbStats    = "stats"    // -> admin.Stats of the node that is asked
	VerbLeave    = "leave"    // Node leaves for good -> nothing
	VerbRemove   = "remove"   // Node, which is dead, is taken out of the configuration -> nothing
	VerbOrder    = "order"    // Order is for the program on Node -> nothing
	VerbAsk      = "ask"      // Words are for the program on the node that is asked -> what it answers
	VerbFinalize = "finalize" // -> admin.Finalized
	VerbBackup   = "backup"   // -> stream, nothing
	VerbRestore  = "restore"  // -> nothing, if it may begin; stream -> admin.Restored
	VerbSurvey   = "survey"   // -> admin.Survey
	VerbRecover  = "recover"  // Lost are gone, for good -> admin.Recovered
)

// Request is what an operator asks of a node.
type Request struct {
	Verb string `json:"verb"`
	Node string `json:"node,omitempty"` // NodeID, of the verbs that are about one

	// Order is what the program is to do, of VerbOrder: a word that it and the operator's tool know.
	Order string `json:"order,omitempty"`

	// Words are a question to the program, of VerbAsk: the first is one that it and the tool know.
	Words []string `json:"words,omitempty"`

	// Cluster is the cluster ID that the operator has seen, of the verbs that replace a farm's state: nothing
	// is done if it is another one by now. Lost holds NodeIDs.
	Cluster string   `json:"cluster,omitempty"`
	Lost    []string `json:"lost,omitempty"`
}

var (
	// ErrMalformed says that the other end does not speak this protocol.
	ErrMalformed = errors.New("malformed admin message")

	// ErrCut says that the connection ended in the middle of a stream.
	ErrCut = errors.New("connection cut off")
)

// Conn is a connection on which frames are exchanged. One goroutine may read while another one writes.
type Conn struct {
	conn net.Conn
	idle time.Duration
	stop func() bool // forget the context
	r    *bufio.Reader
	w    *bufio.Writer
}

// NewConn returns c as a Conn on which neither end may keep the other waiting for longer than idle. While ctx
// lasts: its end ends what waits on the connection. Close it.
func NewConn(ctx context.Context, c net.Conn, idle time.Duration) *Conn {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return &Conn{conn: c, idle: idle, stop: stop, r: bufio.NewReaderSize(c, chunkSize),
		w: bufio.NewWriterSize(c, chunkSize+5)}
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.stop()
	return c.conn.Close()
}

// Drain reads and drops what still comes, for a short while: else a failure that was sent could be lost with
// the rest of the connection, if the other end is still sending.
func (c *Conn) Drain() {
	c.conn.SetReadDeadline(time.Now().Add(drainTime))
	io.Copy(io.Discard, c.r)
}

const drainTime = 2 * time.Second

// Patience changes how long the other end may take.
func (c *Conn) Patience(idle time.Duration) { c.idle = idle }

func (c *Conn) write(kind Kind, payload []byte) error {
	if len(payload) > maxFrame {
		return fmt.Errorf("an admin message of %d bytes: %w", len(payload), ErrMalformed)
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.idle))
	c.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), byte(kind)))
	_, err := c.w.Write(payload)
	return err
}

// Send sends v, as JSON.
func (c *Conn) Send(kind Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return errors.Join(c.write(kind, b), c.w.Flush())
}

// Receive returns the next frame.
func (c *Conn) Receive() (Kind, []byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.idle))
	var h [5]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(h[:]))
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes: %w", n, ErrMalformed)
	}
	payload, err := frame.Read(c.r, n)
	return Kind(h[4]), payload, err
}

// ReceiveRequest returns what is asked.
func (c *Conn) ReceiveRequest() (req Request, err error) {
	kind, payload, err := c.Receive()
	if err != nil {
		return req, err
	}
	if kind != KindRequest {
		return req, fmt.Errorf("a frame of kind %d for a request: %w", kind, ErrMalformed)
	}
	if err := json.Unmarshal(payload, &req); err != nil {
		return req, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return req, nil
}

// Stream returns a writer of chunks. Its Close ends the stream, and not the connection.
func (c *Conn) Stream() io.WriteCloser { return stream{c} }

type stream struct{ c *Conn }

// Write sends p in chunks.
func (s stream) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), chunkSize)]
		if err := s.c.write(KindChunk, part); err != nil {
			return n, err
		}
		n, p = n+len(part), p[len(part):]
	}
	return n, nil
}

func (s stream) Close() error { return errors.Join(s.c.write(KindEnd, nil), s.c.w.Flush()) }

// Chunks returns a reader of the chunks that come. It ends at their end; a failure that comes instead is its
// error.
func (c *Conn) Chunks() io.Reader { return &chunks{c: c} }

type chunks struct {
	c    *Conn
	rest []byte
	err  error
}

// Read returns bytes of chunks.
func (s *chunks) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err == nil {
			s.err = s.next()
		}
		if s.err != nil {
			return 0, s.err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *chunks) next() error {
	kind, payload, err := s.c.Receive()
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return ErrCut
	case err != nil:
		return err
	case kind == KindChunk:
		s.rest = payload
		return nil
	case kind == KindEnd:
		return io.EOF
	}
	return outcome(kind, payload, nil)
}

// Answer waits for the answer and puts it into v, which may be nil. A failure is returned as an error.
func (c *Conn) Answer(v any) error {
	kind, payload, err := c.Receive()
	if err != nil {
		return frame.TooEarly(err)
	}
	return outcome(kind, payload, v)
}

func outcome(kind Kind, payload []byte, v any) error {
	switch kind {
	case KindFailure:
		return parseFailure(payload)
	case KindAnswer:
		if v == nil {
			return nil
		}
		if err := json.Unmarshal(payload, v); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return nil
	}
	return fmt.Errorf("a frame of kind %d for an answer: %w", kind, ErrMalformed)
}

// Fail sends err as a failure.
func (c *Conn) Fail(err error) error { return c.Send(KindFailure, failureOf(err)) }

// Pack returns an answer, or err if there is one, as one message for a connection between nodes; Unpack
// undoes it.
func Pack(v any, err error) []byte {
	kind := KindAnswer
	if err != nil {
		kind, v = KindFailure, failureOf(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		kind, b = KindFailure, nil
	}
	return append([]byte{byte(kind)}, b...)
}

// Unpack puts what Pack made into v, or returns the failure.
func Unpack(b []byte, v any) error {
	if len(b) == 0 {
		return ErrMalformed
	}
	return outcome(Kind(b[0]), b[1:], v)
}
