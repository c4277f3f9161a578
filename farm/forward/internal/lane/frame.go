package lane

import (
	"encoding/binary"
	"fmt"
)

// newest is the version of the protocol that this package speaks; both ends take the newest that both know.
const newest = 1

// kind says what a frame is.
type kind uint8

const (
	kHello       kind = 1 + iota // first frame of a connection, both ways
	kReq                         // a request: its head, and its body if that is short and there
	kAccept                      // the handler asks for the rest of the body
	kData                        // bytes of a body, or of a tunnel
	kEnd                         // the body ends: its error and trailer, and before them the acceptor's load
	kRes                         // the head of an answer, and the beginning of its body
	kRefused                     // the request was not started
	kReset                       // the exchange is given up; from the acceptor: the code says why
	kTunnel                      // the handler has taken over the connection: raw bytes follow, both ways
	kDeadline                    // the handler has set a deadline for the client's connection
	kDuplex                      // the handler reads and writes at the same time
	kMark                        // the handler is about to change what cannot be changed twice
	kMarked                      // the dialler knows
	kLasts                       // the handler goes on until somebody ends it
	kWindow                      // the other end may send so many bytes more on this stream
	kCancel                      // control: the exchange on that lane is given up, or only its context ends
	kPing                        // control: asks for a sign of life
	kPong                        // control: a sign of life
	kDrain                       // control: the acceptor takes no more requests, or takes them again
	kStatus                      // control: asks whether an exchange was ever seen
	kSeen                        // control: the answer
	kLeave                       // control: the handler of that exchange is to come to an end
	kDeadlineNow                 // control: like DEADLINE, and waits for nothing
	kLast
)

func (k kind) String() string {
	names := [...]string{
		"0", "HELLO", "REQ", "ACCEPT", "DATA", "END", "RES", "REFUSED", "RESET", "TUNNEL", "DEADLINE", "DUPLEX",
		"MARK", "MARKED", "LASTS", "WINDOW", "CANCEL", "PING", "PONG", "DRAIN", "STATUS", "SEEN", "LEAVE", "DEADLINE NOW",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Flags of frames.
const (
	fEnd     = 1 << iota // RES, REQ: the body ends with this frame
	fFlush               // RES, DATA: what was written so far is to reach the client now
	fInterim             // RES: a 1xx answer; another RES follows
	fStarted             // RESET: the handler was started
	fMust    = 1 << 7    // a kind that is not known must not be ignored
)

const (
	headerSize = 8
	maxPayload = 1<<24 - 1
	maxID      = 1<<24 - 1
	chunk      = 16 << 10 // of a body in one frame, together with what is before it
)

// frame is the header of a frame: length u24, kind u8, flags u8, id u24, big-endian; n bytes of payload
// follow. The id is the exchange's number on a lane, or the stream's on a trunk.
type frame struct {
	kind  kind
	flags uint8
	id    uint32
	n     int
}

func (f frame) put(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(f.n)<<8|uint32(f.kind))
	binary.BigEndian.PutUint32(b[4:], uint32(f.flags)<<24|f.id)
}

func parseFrame(b []byte) frame {
	x, y := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return frame{kind: kind(x), n: int(x >> 8), flags: uint8(y >> 24), id: y & maxID}
}

// known reports whether this program knows what the frame means. It is an error not to know one that must be
// known.
func (f frame) known() (bool, error) {
	if f.kind >= kHello && f.kind < kLast {
		return true, nil
	}
	if f.flags&fMust != 0 {
		return false, fmt.Errorf("%w: frame of %v must be understood", errProtocol, f.kind)
	}
	return false, nil
}

// newFrame returns a buffer for a frame, with room for its header in front.
func newFrame(b []byte) []byte { return append(b[:0], make([]byte, headerSize)...) }

// headLength is the size of the length that stands before the head of a request or an answer. A part of the
// body follows the head.
const headLength = 4

// newHead returns a buffer for a frame that begins with a head, which is to be appended. endHead follows.
func newHead(b []byte) []byte { return append(newFrame(b), make([]byte, headLength)...) }

// endHead writes how long the head is that was appended.
func endHead(b []byte) {
	binary.BigEndian.PutUint32(b[headerSize:], uint32(len(b)-headerSize-headLength))
}

// splitHead takes a payload apart into its head and what follows.
func splitHead(p []byte) (head string, rest []byte, ok bool) {
	if len(p) < headLength {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(p)
	if p = p[headLength:]; uint64(n) > uint64(len(p)) {
		return "", nil, false
	}
	return string(p[:n]), p[n:], true
}

// Codes of RESET frames.
const (
	resetCanceled = iota // the dialler has given the exchange up
	resetAborted         // the handler panicked with http.ErrAbortHandler
	resetPanic           // the handler panicked
	resetBody            // the request could not be read
	resetStopped         // the rest of the answer could not be sent
)

// last reports whether a frame of the acceptor ends the exchange.
func (f frame) last() bool {
	return f.kind == kEnd || f.kind == kReset || f.kind == kRefused || f.kind == kRes && f.flags&fEnd != 0
}

// putPair returns a buffer for a control frame whose payload is two numbers.
func putPair(a, b uint32) []byte {
	p := newFrame(nil)
	p = binary.BigEndian.AppendUint32(p, a)
	return binary.BigEndian.AppendUint32(p, b)
}

func parsePair(p []byte) (a, b uint32, err error) {
	if len(p) < 8 {
		return 0, 0, malformed("control frame")
	}
	return binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:]), nil
}
