package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Three rolling restarts change the secret. Writes go on, a majority is there throughout, and no connection and no gossip
// packet is refused on the way. A node that missed it is turned away afterwards, and both sides say why.
func TestSecretRotation(t *testing.T) {
	const old, fresh = "6b1f0e0b5d0c4c0c9a4e8f2d7a3b1c5d", "d41c0f7be2a95836741d9c0aeb538f62"
	unformed(t, 3, true, func(l *lab) {
		var log notes // of all nodes, with what raft and memberlist say
		everything := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		for _, n := range l.nodes {
			n.conf.Join, n.conf.Secrets, n.log = n.everybody(), []string{old}, everything
			n.start()
		}
		l.ready(l.nodes...)
		w := l.keepWriting()
		for _, secrets := range [][]string{{old, fresh}, {fresh, old}, {fresh}} {
			for _, n := range l.nodes {
				n.conf.Secrets = secrets
				n.again()
				l.until(20*time.Second, "everybody sees everybody", l.allAlive)
			}
			time.Sleep(10 * time.Second) // enough probes of everybody by everybody
		}
		w.check()
		for _, sign := range []string{"ecrypt", "UDP probes failed", "peer connections refused", "certificate"} {
			if at := strings.Index(log.String(), sign); at >= 0 {
				l.t.Errorf("something was refused during the rotation: ...%.300s", log.String()[max(0, at-200):])
			}
		}
		l.leftBehind(l.nodes[2], old, fresh)
	})
}

func (l *lab) allAlive() bool {
	for _, n := range l.nodes {
		s := n.State()
		for _, m := range s.Members {
			if m.Status != Alive {
				return false
			}
		}
		if len(s.Members) != len(l.nodes) {
			return false
		}
	}
	return true
}

// leftBehind starts a node with the secret that is not accepted any more, and then with the right one.
func (l *lab) leftBehind(late *labNode, old, fresh string) {
	others := []*labNode{l.nodes[0], l.nodes[1]}
	late.stop()
	outside := late.takesNotes()
	var inside []*notes
	for _, n := range others {
		n.stop()
		inside = append(inside, n.takesNotes())
		n.start()
	}
	l.ready(others...)
	late.conf.Secrets = []string{old}
	late.start()
	l.until(time.Minute, "the node with the old secret says why it is alone", func() bool {
		return strings.Contains(outside.String(), "comes from another secret") && strings.Contains(outside.String(), "FARM_SECRET")
	})
	l.until(time.Minute, "the others say whom they refuse, and why", func() bool {
		both := inside[0].String() + inside[1].String()
		return strings.Contains(both, "from="+late.ip) && strings.Contains(both, "FARM_SECRET")
	})
	others[0].must("append y 1")
	if late.State().Ready || len(late.State().Members) != 1 {
		l.t.Errorf("a node with the old secret is ready, or sees others: %+v", late.State())
	}
	late.stop()
	late.conf.Secrets = []string{fresh}
	late.start()
	l.ready(late)
	late.must("append y 2")
}
