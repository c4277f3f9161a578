package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A log is held to what its server was heard to have applied before it was asked, however much is heard before its answer is read.
func TestForgot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDirectory()
		heard := func(index uint64) {
			d.applied("a.run", "a.1", index)
			time.Sleep(time.Second)
		}
		forgot := func(last uint64, after time.Time) bool {
			return errors.Is(d.forgot(wire.Hello{Source: "a.1", Last: last}, after), wire.ErrSetBack)
		}
		if forgot(0, time.Now()) {
			t.Error("nothing was heard of it")
		}
		heard(5)
		asked := time.Now()
		heard(9)
		if forgot(5, asked) || forgot(9, time.Now()) {
			t.Error("it has all that it was heard to have when it was asked")
		}
		if !forgot(4, asked) || !forgot(8, time.Now()) {
			t.Error("it lacks what it was heard to have")
		}
		for i := range uint64(100) {
			heard(10 + i)
		}
		if !forgot(108, time.Now()) || d.reached("a.1") != 109 {
			t.Error("the newest is not known")
		}
		if n := len(d.most["a.1"]); n > 10 {
			t.Errorf("%d heights are kept", n)
		}
	})
}

// A hello may be read late, on a busy machine, when gossip has told of what its speaker has applied since.
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
		b.directory.applied(a.gossipName(), in.server, in.last()+1)
		time.Sleep(time.Millisecond)
		if err := a.greet(l.t.Context(), c, ""); err != nil {
			l.t.Errorf("it is taken for one that has forgotten something: %v", err)
		}
		a.must("append x 1")
		time.Sleep(time.Second)
		if a.instance() != in {
			l.t.Error("it has forgotten everything for that")
		}
	})
}
