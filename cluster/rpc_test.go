package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
)

// A connection carries nothing any more, while new ones work. That keeps a node from its leader for seconds
// only.
func TestFlowThatVanishes(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		f := others[0]
		f.must("append x 0")
		c, err := f.peers.Get(l.ctx(time.Minute), leader.id)
		if err != nil {
			l.t.Fatal(err)
		}
		l.net.Forget(f.ip, leader.ip)
		began := time.Now()
		f.must("append x 1")
		if took := time.Since(began); took > 2*link.Silence {
			l.t.Errorf("a proposal took %v", took)
		}
		if !c.Dead() {
			l.t.Error("the connection whose flow has vanished is still used")
		}
		if got := leader.get("x"); got != "0,1," {
			l.t.Errorf("x is %q", got)
		}
	})
}

// A large request on a thin line gets through.
func TestLargeRequestOnAThinLine(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		f := others[0]
		l.net.Limit(f.ip, leader.ip, 70<<10)
		if err := f.propose(time.Minute, "set x %s", strings.Repeat("x", 500<<10)); err != nil {
			l.t.Error(err)
		}
	})
}
