package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
)

// Every raft and rpc connection opens with a hello and its ack, behind TLS. TLS has proved the NodeIDs; the hello says
// which farm and which incarnation. Without it an incarnation that forgot its votes would answer under the address of
// the one that cast them, and two farms could be spliced into one log.
//
// It begins with the level in force at the speaker's farm, which a program that does not speak it refuses to read on.
const (
	handshakeTimeout = 3 * time.Second
	maxHello         = 1 << 10
	group            = 0 // of the one Raft group; its place in the hello is for more
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
	rd := wireReader{b: b}
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

// greet opens a dialed connection: it says who is calling whom, and believes only the right answer. It ends with ctx: the time to
// dial includes it.
func (n *Node) greet(ctx context.Context, c net.Conn, dest string) error {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	err := n.exchangeHellos(c, dest)
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	c.SetDeadline(time.Time{})
	return err
}

func (n *Node) exchangeHellos(c net.Conn, dest string) error {
	me, asked := n.self(), time.Now()
	if err := writeHello(c, me.hello(code(me.speaks), dest)); err != nil {
		return err
	}
	ack, err := readHello(c)
	if err != nil {
		return err
	}
	if err := n.leftBehind(ack.level, ack.cluster, "node "+nodeOf(ack.source)); err != nil {
		return err
	}
	if ack.code != codeOK {
		n.refused(me.server, ack)
		return fmt.Errorf("refused by %s: %w", ack.source, ack.code.err())
	}
	return n.checkPeer(c, ack, asked, me.cluster)
}

// receive answers the hello of an accepted connection. toRaft says that it must name this very incarnation.
func (n *Node) receive(c net.Conn, toRaft bool) (hello, error) {
	c.SetDeadline(time.Now().Add(handshakeTimeout))
	defer c.SetDeadline(time.Time{})
	h, err := readHello(c)
	if err != nil {
		return h, err
	}
	err = n.judge(c, h, toRaft)
	me := n.self() // after judge, which may have adopted the cluster ID
	return h, errors.Join(err, writeHello(c, me.hello(codeOf(err), h.source)))
}

func (n *Node) judge(c net.Conn, h hello, toRaft bool) error {
	me := n.self()
	if err := n.leftBehind(h.level, h.cluster, "node "+nodeOf(h.source)); err != nil {
		return err
	}
	if err := n.tooOld(h.speaks(), "node "+nodeOf(h.source)); err != nil {
		return err
	}
	if toRaft && h.dest != me.server {
		return fmt.Errorf("%w: called as %s", errNotMe, h.dest)
	}
	if err := n.checkPeer(c, h, port.Since(c), me.cluster); err != nil {
		return err
	}
	if toRaft && me.cluster == "" {
		return n.adopt(h.cluster)
	}
	return nil
}

// checkPeer checks what a hello or an ack says against TLS, the farm, and what the farm has seen of the speaker. It was said
// after the time given.
func (n *Node) checkPeer(c net.Conn, h hello, after time.Time, cluster string) error {
	if id := port.PeerID(c); nodeOf(h.source) != id {
		return fmt.Errorf("%w: %s speaks as %s", errNotMe, id, h.source)
	}
	if cluster != "" && h.cluster != "" && cluster != h.cluster {
		return fmt.Errorf("%w: cluster ID %s here, %s at %s", ErrOtherFarm, cluster, h.cluster, h.source)
	}
	if n.fsm().setBack(registration{origin: h.origin, server: h.source, boot: h.boot}) {
		return fmt.Errorf("%w: %s, boot counter %d", errSetBack, h.source, h.boot)
	}
	return n.directory.forgot(h, after)
}

// refused draws the conclusion from a refusal that concerns this node itself.
func (n *Node) refused(server string, ack hello) {
	switch ack.code {
	case codeOtherFarm:
		mine := n.self().cluster
		if supersedes(ack.cluster, mine) || supersedes(mine, ack.cluster) {
			return // one of the two is about to join the other
		}
		n.warnOnce("farm of "+ack.source, "a node of another farm of this name and secret answers; it is left alone",
			fmt.Errorf("%w: %s has cluster ID %s, this node %s", ErrOtherFarm, ack.source, ack.cluster, mine))
		n.estrange(ack.source)
	case codeSetBack:
		n.reset(server, errSetBack)
	}
}

// serverID names one incarnation of one node: Raft's ServerID and ServerAddress alike.
func serverID(node, incarnation string) string { return node + "." + incarnation }

// nodeOf returns the NodeID in a server ID.
func nodeOf(server string) string {
	node, _, _ := strings.Cut(server, ".")
	return node
}
