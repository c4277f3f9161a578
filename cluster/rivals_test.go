package cluster

import (
	"errors"
	"os"
	"testing"
	"time"
)

func (l *lab) joiner(ip string, c Config) *labNode {
	c.Listen, c.Join, c.Secrets = ip+":7946", []string{l.nodes[0].Addr()}, l.nodes[0].conf.Secrets
	n := &labNode{lab: l, ip: ip, conf: c}
	n.start()
	return n
}

// The other node of this name cannot be asked at first. The two must find each other out all the same, later.
func TestNameTakenFoundOutLate(t *testing.T) {
	inLab(t, 3, false, func(l *lab) {
		first := l.nodes[1]
		l.net.Cut("10.0.0.9", first.ip)
		twin := l.joiner("10.0.0.9", Config{Name: first.conf.Name})
		time.Sleep(20 * time.Second)
		l.net.Heal()
		if err := twin.Ready(l.ctx(time.Minute)); !errors.Is(err, ErrNameTaken) {
			l.t.Errorf("the second live node of a name: %v, want ErrNameTaken", err)
		}
		if first.Err() != nil {
			l.t.Errorf("the first gave up: %v", first.Err())
		}
		twin.stop()
		first.must("append x 1")
	})
}

// A copied data directory on another machine, under another name: one node in two places. The one that came later gives
// up, and the first one stays a member.
func TestCopiedDirectory(t *testing.T) {
	copied := t.TempDir() + "/copy"
	inLab(t, 3, true, func(l *lab) {
		first := l.nodes[1]
		first.must("append x 1")
		was := first.instance().server
		first.stop()
		if err := os.CopyFS(copied, os.DirFS(first.conf.Dir)); err != nil {
			l.t.Fatal(err)
		}
		first.start()
		l.ready(first)
		twin := l.joiner("10.0.0.9", Config{Name: "elsewhere", Dir: copied})
		if err := twin.Ready(l.ctx(time.Minute)); !errors.Is(err, ErrNameTaken) {
			l.t.Errorf("a copied data directory: %v, want ErrNameTaken", err)
		}
		twin.stop()
		time.Sleep(10 * time.Second)
		if now := first.instance().server; first.Err() != nil || now != was {
			l.t.Errorf("the first node is %s, was %s: %v", now, was, first.Err())
		}
		leader, _ := l.leader()
		if v := voteAt(leader, was); v == absent {
			l.t.Error("the first node is not configured any more")
		}
		first.must("append x 2")
	})
}
