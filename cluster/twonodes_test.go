package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// The only voter of a memory farm stops just when another node has come in: it must not take the state with it.
func TestLastVoterWaitsForItsSuccessor(t *testing.T) {
	inLab(t, 1, false, func(l *lab) {
		a := l.nodes[0]
		a.must("append x 1")
		b := &labNode{lab: l, ip: "10.0.0.2", conf: Config{Name: "n2", Listen: "10.0.0.2:7946", Join: []string{a.Addr()},
			Secrets: a.conf.Secrets}}
		l.nodes = append(l.nodes, b)
		l.net.Delay(b.ip, a.ip, 200*time.Millisecond) // or it would have its vote before anybody could look
		b.start()
		l.waitFor("n2 is in the configuration", func() bool { return voteAt(a, b.instance().server) != absent })
		if v := voteAt(a, b.instance().server); v != raft.Nonvoter {
			l.t.Fatalf("n2 is %v already", v)
		}
		l.net.Delay(b.ip, a.ip, 0)
		a.stop()
		l.ready(b)
		b.must("append x 2")
		if got := b.get("x"); got != "1,2," {
			l.t.Errorf("x = %q", got)
		}
	})
}
