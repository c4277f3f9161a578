package cluster

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
)

// Every raft and rpc connection opens with a hello and its ack, behind TLS. TLS has proved the NodeIDs; the hello says
// which farm and which incarnation. Without it an incarnation that forgot its votes would answer under the address of
// the one that cast them, and two farms could be spliced into one log.
//
// It begins with the level in force at the speaker's farm, which a program that does not speak it refuses to read on.
const (
	maxHello = 1 << 10
	group    = 0 // of the one Raft group; its place in the hello is for more
)

// hello is what the dialing side says, and, with a code, what the accepting side answers.
type hello struct {
	level   byte   // in force in the speaker's farm
	code    code   // of an answer; in a question, the highest level that the speaker speaks, 0 for 1
	cluster string // cluster ID, "" if none is known yet
	source  string // Raft server ID of the speaker
	boot    uint64 // boot counter of the speaker's incarnation
	origin  uint64 // this run of it
	last    uint64 // index of the last entry that its log holds, or its state covers
	dest    string // Raft server ID spoken to; "" = whatever runs at that node
}

// speaks returns the highest level of whoever asks by h.
func (h hello) speaks() byte { return max(byte(h.code), levelFirst) }

func writeHello(w io.Writer, h hello) error {
	b := append(make([]byte, 2, 128), h.level, byte(h.code))
	b = appendString(appendString(b, h.cluster), h.source)
	b = binary.BigEndian.AppendUint64(binary.AppendUvarint(b, h.boot), h.origin)
	b = binary.AppendUvarint(b, h.last)
	b = binary.AppendUvarint(appendString(b, h.dest), group)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_, err := w.Write(b)
	return err
}

func readHello(r io.Reader) (hello, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return hello{}, err
	}
	size := int(binary.BigEndian.Uint16(n[:]))
	if size > maxHello {
		return hello{}, fmt.Errorf("hello of %d bytes: %w", size, errMalformed)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return hello{}, frame.TooEarly(err)
	}
	return parseHello(b)
}

func parseHello(b []byte) (hello, error) {
	rd := newReader(b)
	h := hello{level: rd.byte(), code: code(rd.byte()), cluster: rd.string(), source: rd.string(), boot: rd.uvarint(),
		origin: rd.uint64(), last: rd.uvarint(), dest: rd.string()}
	g := rd.uvarint()
	switch {
	case h.level > protocolMax && (rd.bad || !rd.done()): // of a later layout
		return hello{level: h.level}, nil
	case h.level < protocolMin || !rd.done() || g != group:
		return hello{}, fmt.Errorf("hello: %w", errMalformed)
	}
	return h, nil
}

// serverID names one incarnation of one node: Raft's ServerID and ServerAddress alike.
func serverID(node, incarnation string) string { return node + "." + incarnation }

// nodeOf returns the NodeID in a server ID.
func nodeOf(server string) string {
	node, _, _ := strings.Cut(server, ".")
	return node
}
