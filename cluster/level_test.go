package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// ofLevel has the nodes run, from their next start on, a program that speaks levels up to max.
func ofLevel(max byte, nodes ...*labNode) {
	for _, n := range nodes {
		n.hooks.maxLevel = max
	}
}

// again restarts a node in order.
func (n *labNode) again() {
	n.lab.t.Helper()
	n.stop()
	n.start()
	n.lab.ready(n)
}

// everybody returns the addresses of the nodes of the lab, this one's included: a node knows its own.
func (n *labNode) everybody() (addrs []string) {
	for _, o := range n.lab.nodes {
		addrs = append(addrs, o.conf.Listen)
	}
	return addrs
}

// withLevels runs a test on three nodes whose programs speak up to the given levels, in memory and durable.
func withLevels(t *testing.T, max []byte, f func(l *lab)) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			unformed(t, len(max), durable, func(l *lab) {
				for i, n := range l.nodes {
					n.conf.Join = n.everybody()
					ofLevel(max[i], n)
					n.start()
				}
				l.ready(l.nodes...)
				f(l)
			})
		})
	}
}

func (l *lab) allAtLevel(want int) {
	l.t.Helper()
	l.until(10*time.Second, fmt.Sprintf("all nodes work at level %d", want), func() bool {
		for _, n := range l.nodes {
			if n.up && n.State().Level != want {
				return false
			}
		}
		return true
	})
}

// Slow: a farm rises through its levels, with members that hold it back.
func TestFinalize(t *testing.T) {
	t.Parallel()
	withLevels(t, []byte{2, 2, 1}, func(l *lab) {
		fresh, old := l.nodes[0], l.nodes[2]
		level, err := fresh.Finalize(l.ctx(10 * time.Second))
		if !errors.Is(err, ErrHeldBack) || level != 1 ||
			!strings.Contains(fmt.Sprint(err), old.conf.Name+", which speaks up to 1") {
			l.t.Errorf("with an old member: level %d, %v", level, err)
		}
		if s := fresh.State(); s.Level != 1 || s.CommonLevel != 1 || len(s.HeldBack) != 1 {
			l.t.Errorf("the state shows level %d, common %d, held back by %q", s.Level, s.CommonLevel,
				s.HeldBack)
		}
		ofLevel(2, old)
		old.again()
		fresh.must("append x 1")
		l.until(10*time.Second, "the level can be raised",
			func() bool { return fresh.State().CommonLevel == 2 })
		if s := fresh.State(); s.Level != 1 || len(s.HeldBack) != 0 {
			l.t.Errorf("the state shows level %d, held back by %q, before anybody finalized", s.Level,
				s.HeldBack)
		}
		for _, n := range l.nodes { // the leader among them, and again when it is done
			if level, err := n.Finalize(l.ctx(10 * time.Second)); level != 2 || err != nil {
				l.t.Errorf("%s: level %d, %v", n.conf.Name, level, err)
			}
		}
		l.allAtLevel(2)
		for _, n := range l.nodes { // the level outlives them
			n.again()
			fresh.must("append x 2")
		}
		l.allAtLevel(2)
	})
}

// notes collects what a node logs.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

func (n *notes) logger() *slog.Logger { return slog.New(slog.NewTextHandler(n, nil)) }

func TestLevelRisesAfterADay(t *testing.T) {
	if h := (hooks{}).withDefaults(); h.raiseAfter != 24*time.Hour {
		t.Errorf("the level rises by itself after %v", h.raiseAfter)
	}
}
