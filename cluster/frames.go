package cluster

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
)

// The members call each other over rpc connections: frames of
//
//	length (uint32), call (uint64), method or code (byte), payload
//
// Answers come in any order.
type method byte

const (
	methodStatus   method = 1  // -> status
	methodTerm     method = 2  // -> current term, clock
	methodPropose  method = 3  // batch -> answer
	methodBarrier  method = 4  // -> index
	methodQuery    method = 5  // machine, query -> answer
	methodRegister method = 6  // registration ->
	methodRemove   method = 7  // server ID ->
	methodPromise  method = 8  // number of founders ->
	methodDemote   method = 9  // server ID ->
	methodFinalize method = 10 // -> level in force, who holds a higher one back
	methodSurvey   method = 11 // cluster ID, whether to stand down -> report
	methodFollow   method = 12 // cluster ID, successor, servers that are gone ->
	methodReform   method = 13 // cluster ID ->
	methodClaim    method = 14 // cluster ID, whether to take it back ->

	methodCompare method = 15 // question -> testimony; of level 3
	methodResync  method = 16 // server ID, why ->; of level 3
	methodWithout method = 17 // server ID ->; whether a quorum goes on without it
	methodStored  method = 18 // server ID -> stored; of level 3

	methodPing   method = 30 // ->; whether anybody is there. Programs that do not know it answer as well: with an error
	methodCancel method = 31 // of a call ->; nobody waits for its answer. There is none

	methodOperate method = 32 // an operator's request -> packed answer
)

const (
	frameHead = 13
	maxFrame  = 16 << 20
	noCall    = 0 // of a frame whose answer nobody awaits
)

func writeFrame(w *bufio.Writer, call uint64, kind byte, payload []byte) error {
	var h [frameHead]byte
	binary.BigEndian.PutUint32(h[:], uint32(len(payload)))
	binary.BigEndian.PutUint64(h[4:], call)
	h[12] = kind
	w.Write(h[:])
	w.Write(payload)
	return w.Flush()
}

func readFrame(r *bufio.Reader) (call uint64, kind byte, payload []byte, err error) {
	var h [frameHead]byte
	if _, err = io.ReadFull(r, h[:]); err != nil {
		return 0, 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(h[:]))
	if n > maxFrame {
		return 0, 0, nil, fmt.Errorf("rpc frame of %d bytes: %w", n, errMalformed)
	}
	payload, err = frame.Read(r, n)
	return binary.BigEndian.Uint64(h[4:]), h[12], payload, err
}
