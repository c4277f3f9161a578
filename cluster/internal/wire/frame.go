package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
)

// Method is what is asked of another member. The members call each other over rpc connections: frames of
//
//	length (uint32), call (uint64), method or code (byte), payload
//
// Answers come in any order.
type Method byte

const (
	MethodStatus   Method = 1  // -> status
	MethodTerm     Method = 2  // -> current term, clock
	MethodPropose  Method = 3  // batch -> answer
	MethodBarrier  Method = 4  // whether the answer may wait -> index
	MethodQuery    Method = 5  // machine, query -> answer
	MethodRegister Method = 6  // registration ->
	MethodRemove   Method = 7  // server ID ->
	MethodPledge   Method = 8  // number of founders ->
	MethodDemote   Method = 9  // server ID ->
	MethodFinalize Method = 10 // -> level in force, who holds a higher one back
	MethodSurvey   Method = 11 // cluster ID, whether to stand down -> report
	MethodFollow   Method = 12 // cluster ID, successor, servers that are gone ->
	MethodReform   Method = 13 // cluster ID ->
	MethodClaim    Method = 14 // cluster ID, whether to take it back ->

	MethodCompare Method = 15 // question -> testimony; of level 3
	MethodResync  Method = 16 // server ID, why ->; of level 3
	MethodWithout Method = 17 // server ID ->; whether a quorum goes on without it
	MethodStored  Method = 18 // server ID -> stored; of level 3

	// server ID -> whether a change that concerns its vote is due; older programs: ErrVersion
	MethodVoteComes Method = 19
	// batch that may be refused -> credit, answer. A program that does not know it says ErrVersion
	MethodOffer   Method = 20
	MethodTakesIn Method = 21 // -> whether the node takes in a snapshot; older programs: ErrVersion
	// -> the node's heartbeat timeout, in ms; older programs: ErrVersion
	MethodHeartbeat Method = 22

	// server ID, term, index ->; what is committed. There is no answer, but of a program that does not know
	// it
	MethodCommitted Method = 29

	// ->; whether anybody is there. Programs that do not know it answer as well: with an error
	MethodPing   Method = 30
	MethodCancel Method = 31 // of a call ->; nobody waits for its answer. There is none

	MethodOperate Method = 32 // an operator's request -> packed answer
)

const (
	frameHead = 13
	MaxFrame  = 16 << 20 // bytes of a payload
	NoCall    = 0        // of a frame whose answer nobody awaits
)

// WriteFrame writes and flushes one frame.
func WriteFrame(w *bufio.Writer, call uint64, kind byte, payload []byte) error {
	var h [frameHead]byte
	binary.BigEndian.PutUint32(h[:], uint32(len(payload)))
	binary.BigEndian.PutUint64(h[4:], call)
	h[12] = kind
	w.Write(h[:])
	w.Write(payload)
	return w.Flush()
}

// ReadFrame reads one frame. It takes memory only for what really comes.
func ReadFrame(r *bufio.Reader) (call uint64, kind byte, payload []byte, err error) {
	var h [frameHead]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return 0, 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(h[:]))
	if n > MaxFrame {
		return 0, 0, nil, fmt.Errorf("rpc frame of %d bytes: %w", n, ErrMalformed)
	}
	payload, err = frame.Read(r, n)
	return binary.BigEndian.Uint64(h[4:]), h[12], payload, err
}
