package cluster

import (
	"testing"
	"time"
)

// On a busy machine a hello may be read late. By then gossip may have told that its sender has applied more.
func TestNewsOvertakeHello(t *testing.T) {
	t.Parallel()
	inLab(t, 2, true, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		time.Sleep(5 * time.Second) // no connection is to be opened while b believes more of a than is true
		in := a.instance()
		c, err := a.port.Dial(l.t.Context(), b.Addr(), protoRPC, b.ID())
		if err != nil {
			l.t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(time.Millisecond)
		b.directory.Applied(a.gossipName(), in.server, in.last()+1)
		time.Sleep(time.Millisecond)
		if err := a.handshakes.greet(l.t.Context(), c, ""); err != nil {
			l.t.Errorf("it is taken for one that has forgotten something: %v", err)
		}
		a.must("append x 1")
		time.Sleep(time.Second)
		if a.instance() != in {
			l.t.Error("it has forgotten everything for that")
		}
	})
}
