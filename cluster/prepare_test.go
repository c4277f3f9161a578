package cluster

import (
	"context"
	"strings"
	"testing"
	"time"
)

// oneOfThreeDies returns two nodes of three, the first of which leads, when both have noticed that the third
// is dead.
func (l *lab) oneOfThreeDies() (leader, follower *labNode) {
	l.t.Helper()
	leader, others := l.leader()
	follower = others[1]
	others[0].kill()
	for _, n := range []*labNode{leader, follower} {
		l.until(time.Minute, "the death is noticed", func() bool {
			s := n.members.situation()
			_, staying := s.Majority("", s.Stays)
			return staying == 2
		})
	}
	return leader, follower
}

// restart starts the nodes that do not run.
func (l *lab) restart() {
	l.t.Helper()
	for _, n := range l.nodes {
		if !n.up {
			n.start()
		}
	}
	l.ready(l.nodes...)
}

// joinerOf starts one more node, which joins the given one and is none of the lab's nodes.
func (l *lab) joinerOf(seed *labNode, ip string, c Config) *labNode {
	c.Listen, c.Join, c.Secrets = ip+":7946", []string{seed.Addr()}, seed.conf.Secrets
	n := &labNode{lab: l, ip: ip, conf: c}
	n.start()
	return n
}

// A node whose stop the farm cannot afford says what it waits for, as long as it waits.
func TestStopWaitsForRelief(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, follower := l.oneOfThreeDies()
		fresh := l.joinerOf(leader, "10.0.0.4", Config{Name: "fresh"})
		l.until(time.Minute, "the new one is seen", func() bool { return len(follower.State().Members) == 4 })
		done := make(chan struct{})
		go func() {
			defer close(done)
			follower.PrepareStop(l.ctx(25 * time.Second))
		}()
		l.until(5*time.Second, "it says what it waits for", func() bool {
			return strings.Contains(follower.State().Awaits, "1 of 3 stay: "+leader.conf.Name)
		})
		<-done
		if a := follower.State().Awaits; a != "" {
			t.Errorf("it has a relief and says that it waits for %s", a)
		}
		follower.stop()
		leader.must("set a 1")
		l.restart()
		fresh.stop()
	})
}

// A node that stops waits for a relief as long as there is time. If none came, it does not wait a second
// time.
func TestStopWaitsInVain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // made outside, because a bubble's clock is years off the file system's
	inLab(t, 3, true, func(l *lab) {
		leader, follower := l.oneOfThreeDies()
		l.net.Cut(leader.ip, "10.0.0.4") // it hears of the new one by the other, and cannot feed it
		fresh := l.joinerOf(follower, "10.0.0.4", Config{Name: "fresh", Dir: dir})
		l.until(time.Minute, "the new one is seen", func() bool {
			return len(follower.State().Members) == 4 && len(leader.State().Members) == 4
		})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(l.t.Context(), 4*time.Second)
		defer cancel()
		follower.PrepareStop(ctx)
		if took := time.Since(begin).Round(time.Second); took != 4*time.Second {
			t.Errorf("it waited for %v of four seconds", took)
		}
		begin = time.Now()
		follower.stop()
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it waited again, for %v", took)
		}
		l.net.Heal()
		l.restart()
		fresh.stop()
	})
}

// A stop that was announced can be taken back: the others count on the node again.
func TestStayOn(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		staying := func() int {
			s := leader.members.situation()
			_, living := s.Majority("", s.Stays)
			return living
		}
		others[0].StayOn() // from nothing
		for range 2 {
			others[0].PrepareStop(l.ctx(time.Second))
			l.until(time.Minute, "the others hear that it will stop", func() bool { return staying() == 2 })
			others[0].StayOn()
			l.until(time.Minute, "the others hear that it stays", func() bool { return staying() == 3 })
		}
		others[1].stop() // which the farm can afford, since the other one stays
		leader.must("set a 1")
		l.restart()
		others[0].stop()
		others[0].StayOn() // too late
		l.restart()
	})
}
