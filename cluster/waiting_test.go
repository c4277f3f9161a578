package cluster

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// A warning is logged when it is new, and again after a while. One that comes and goes does not fill the log.
func TestComplaint(t *testing.T) {
	var c complaint
	start := time.Unix(1.8e9, 0)
	for _, s := range []struct {
		after time.Duration
		text  string
		due   bool
	}{
		{0, "a", true}, {time.Second, "a", false}, {59 * time.Second, "a", false},
		{61 * time.Second, "a", true},
		{62 * time.Second, "b", false}, {72 * time.Second, "b", true}, {73 * time.Second, "a", false},
	} {
		if got := c.sayNow(s.text, start.Add(s.after)); got != s.due {
			t.Errorf("%q after %v: %v, want %v", s.text, s.after, got, s.due)
		}
	}
}

func TestBriefly(t *testing.T) {
	refused := errors.New("connect: connection refused")
	op := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7946},
		Err: refused}
	if got := briefly(op); got != refused.Error() {
		t.Errorf("%q", got)
	}
	if got := briefly(errors.New("odd")); got != "odd" {
		t.Errorf("%q", got)
	}
}

// What cannot be a peer address is refused at once.
func TestJoinPort(t *testing.T) {
	for _, addr := range []string{"n1:0", "n1:70000", "n1:-1", "n1:http", "10.0.0.1:7946x", "n1", "n1:",
		"[::1]"} {
		if n, err := Open(t.Context(), Config{Join: []string{addr}, Logger: testLogger()}); err == nil {
			n.Close()
			t.Errorf("Join %q was taken", addr)
		} else if !strings.Contains(err.Error(), "Join") || !strings.Contains(err.Error(), addr) {
			t.Errorf("Join %q: %v", addr, err)
		}
	}
}

// Whoever has given up waiting for a node to be ready is told for whom it waits, and why that one does not
// come.
func TestReadySaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	unformed(t, 3, true, func(l *lab) {
		said := func(n *labNode, want ...string) {
			l.t.Helper()
			err := n.Ready(l.ctx(10 * time.Second))
			for _, text := range append(want, "not a caught-up member yet", context.DeadlineExceeded.Error()) {
				if err == nil || !strings.Contains(err.Error(), text) {
					l.t.Errorf("%s: %v; want that it says %q", n.conf.Name, err, text)
				}
			}
		}
		for _, n := range l.nodes[1:] {
			n.conf.Join = []string{l.nodes[0].conf.Listen}
		}
		l.nodes[1].start()
		said(l.nodes[1], "no farm yet", l.nodes[0].conf.Listen)
		l.nodes[0].start()
		l.nodes[2].start()
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			n.stop()
		}
		l.nodes[1].start() // alone of three
		said(l.nodes[1], "no leader", "missing")
		l.nodes[2].start()
		l.nodes[0].start()
		l.ready(l.nodes...)
	})
}
