package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// No order is lost because another one waits, and the one that does most comes first.
func TestOrders(t *testing.T) {
	q := orders{wake: make(chan struct{}, 1)}
	for _, o := range []resetOrder{
		{server: "a.1", kind: restartRaft},
		{server: "a.1", kind: forgetFarm, farm: "old"},
		{server: "a.1", kind: forgetFarm, farm: "new"},
		{server: "a.1", kind: forgetState, mends: true},
		{server: "a.1", kind: forgetState},
		{server: "a.1", kind: restartRaft},
	} {
		q.give(o)
	}
	for _, want := range []resetOrder{
		{server: "a.1", kind: forgetFarm, farm: "new"},
		{server: "a.1", kind: forgetState, mends: true},
		{server: "a.1", kind: restartRaft},
	} {
		if o := q.next(); o == nil || *o != want || q.hiding() != (want.kind != restartRaft) {
			t.Fatalf("%+v, hiding %v, want %+v", o, q.hiding(), want)
		}
	}
	if o := q.next(); o != nil || q.hiding() {
		t.Errorf("%+v is left", o)
	}
}

// Orders that come while another one is carried out are carried out as well, at whatever moment they come. An
// order of the leader's that finds its node between two boots is refused, or is not lost.
func TestOrdersComeAtOnce(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		n := others[0]
		before := n.instance().server
		for range 3 {
			n.resets.restart(before, errors.New("it is asked"))
		}
		l.until(time.Minute, "the order is taken", func() bool {
			err := n.order(leader)
			if err != nil && !errors.Is(err, wire.ErrNotMe) {
				t.Fatal(err)
			}
			return err == nil
		})
		l.until(time.Minute, "it begins anew", func() bool { return n.instance().server != before })
		l.ready(n)
	})
}

// A gate is closed for an order. If the order comes to nothing the gate opens again, and not before that.
func TestGateOpensAgain(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		l.ready(n)
		n.resets.orders.mu.Lock()
		// and nobody is told yet
		n.resets.orders.waiting[forgetFarm] = &resetOrder{server: "gone.1", kind: forgetFarm}
		n.resets.orders.mu.Unlock()
		n.fit.close()
		n.changed.Notify()
		time.Sleep(10 * time.Second)
		if n.fit.ready() {
			t.Error("the gate opens before the order is carried out")
		}
		signal(n.resets.orders.wake)
		l.until(time.Minute, "the gate opens", n.fit.ready)
	})
}
