package farm_test

import (
	"net"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// The replicated store keeps the rules over the real log too, on the leader and on a follower. A node that has been out
// of contact for long, as while the other one starts on a busy machine, waits for a second only with a change; so each
// part begins in contact.
func TestSessionStore(t *testing.T) {
	t.Parallel()
	a := serve(t, farm.Config{Name: "a", Dir: inMemory}, nil).ready()
	b := serve(t, farm.Config{Name: "b", Dir: inMemory, Join: []string{a.peer()}}, nil).ready()
	for _, s := range []*served{a, b} {
		t.Run(s.Cluster().State().Self, func(t *testing.T) {
			sessiontest.TestStore(t, func(t *testing.T) session.Store {
				eventually(t, func() bool { return s.Cluster().Handle("session").Staleness() < time.Second })
				return sessionStore(s.Cluster())
			})
		})
	}
}

func sessionStore(n *cluster.Node) session.Store {
	h := n.Handle("session")
	return session.NewReplicated(h, func() *session.Machine { return h.Local().(*session.Machine) },
		func() string { return n.State().ClusterID })
}

// Config.Listener is served on, and closed with the farm.
func TestFarm_Listener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, farm.Config{Listener: l}, nil).ready()
	if s.Addr() != l.Addr().String() {
		t.Errorf("serves on %s, not on %s", s.Addr(), l.Addr())
	}
	var n int
	if do(t, visitor(t), "POST", "http://"+s.Addr()+"/count", &n); n != 1 {
		t.Errorf("count %d", n)
	}
	s.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is open after Close")
	}
}
