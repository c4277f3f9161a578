package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
)

// Every raft and rpc connection opens with a hello and its ack, behind TLS. TLS has proved the NodeIDs; the
// hello says which farm and which incarnation. Without it an incarnation that forgot its votes would answer
// under the address of the one that cast them, and two farms could be spliced into one log.
//
// It begins with the level in force at the speaker's farm, which a program that does not speak it refuses to
// read on.
const (
	maxHello = 1 << 10
	group    = 0 // of the one Raft group; its place in the hello is for more
)

// Hello is what the dialing side says, and, with a code, what the accepting side answers.
type Hello struct {
	Level   byte   // in force in the speaker's farm
	Code    Code   // of an answer; in a question, the highest level that the speaker speaks, 0 for 1
	Cluster string // cluster ID, "" if none is known yet
	Source  string // Raft server ID of the speaker
	Boot    uint64 // boot counter of the speaker's incarnation
	Origin  uint64 // of the speaker's present Raft instance; 0 = it has none
	Last    uint64 // index of the last entry that its log holds, or its state covers
	Dest    string // Raft server ID spoken to; "" = whatever runs at that node
}

// Speaks returns the highest level of whoever asks by h.
func (h Hello) Speaks() byte { return max(byte(h.Code), LevelFirst) }

// WriteHello writes a hello with its length before it.
func WriteHello(w io.Writer, h Hello) error {
	b := append(make([]byte, 2, 128), h.Level, byte(h.Code))
	b = AppendString(AppendString(b, h.Cluster), h.Source)
	b = binary.BigEndian.AppendUint64(binary.AppendUvarint(b, h.Boot), h.Origin)
	b = binary.AppendUvarint(b, h.Last)
	b = binary.AppendUvarint(AppendString(b, h.Dest), group)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_, err := w.Write(b)
	return err
}

// ReadHello reads one. Of a later level than ProtocolMax it may know the level alone.
func ReadHello(r io.Reader) (Hello, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return Hello{}, err
	}
	size := int(binary.BigEndian.Uint16(n[:]))
	if size > maxHello {
		return Hello{}, fmt.Errorf("hello of %d bytes: %w", size, ErrMalformed)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return Hello{}, frame.TooEarly(err)
	}
	return parseHello(b)
}

func parseHello(b []byte) (Hello, error) {
	rd := NewReader(b)
	h := Hello{Level: rd.Byte(), Code: Code(rd.Byte()), Cluster: rd.Text(), Source: rd.Text(),
		Boot:   rd.Uvarint(),
		Origin: rd.Uint64(), Last: rd.Uvarint(), Dest: rd.Text()}
	g := rd.Uvarint()
	switch {
	case h.Level > ProtocolMax && (rd.bad || !rd.Done()): // of a later layout
		return Hello{Level: h.Level}, nil
	case h.Level < ProtocolMin || !rd.Done() || g != group:
		return Hello{}, fmt.Errorf("hello: %w", ErrMalformed)
	}
	return h, nil
}

// ServerID names one incarnation of one node: Raft's ServerID and ServerAddress alike.
func ServerID(node, incarnation string) string { return node + "." + incarnation }

// NodeOf returns the NodeID in a server ID.
func NodeOf(server string) string {
	node, _, _ := strings.Cut(server, ".")
	return node
}
