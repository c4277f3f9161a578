package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// ofLevel has the nodes run, from their next start on, a program that speaks levels up to max.
func ofLevel(max byte, nodes ...*labNode) {
	for _, n := range nodes {
		n.conf.maxLevel = max
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

func TestFinalize(t *testing.T) {
	withLevels(t, []byte{2, 2, 1}, func(l *lab) {
		fresh, old := l.nodes[0], l.nodes[2]
		level, err := fresh.Finalize(l.ctx(10 * time.Second))
		if !errors.Is(err, ErrHeldBack) || level != 1 || !strings.Contains(fmt.Sprint(err), old.conf.Name+", which speaks up to 1") {
			l.t.Errorf("with an old member: level %d, %v", level, err)
		}
		if s := fresh.State(); s.Level != 1 || s.CommonLevel != 1 || len(s.HeldBack) != 1 {
			l.t.Errorf("the state shows level %d, common %d, held back by %q", s.Level, s.CommonLevel, s.HeldBack)
		}
		ofLevel(2, old)
		old.again()
		fresh.must("append x 1")
		l.until(10*time.Second, "the level can be raised", func() bool { return fresh.State().CommonLevel == 2 })
		if s := fresh.State(); s.Level != 1 || len(s.HeldBack) != 0 {
			l.t.Errorf("the state shows level %d, held back by %q, before anybody finalized", s.Level, s.HeldBack)
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

// Once a level is in force there is no way back, and who tries it is told so, whether it has a log or comes new.
func TestNoWayBackBehindFinalized(t *testing.T) {
	withLevels(t, []byte{3, 3, 3}, func(l *lab) {
		if level, err := l.nodes[0].Finalize(l.ctx(10 * time.Second)); level != 3 || err != nil {
			l.t.Fatalf("level %d, %v", level, err)
		}
		l.allAtLevel(3)
		back := l.nodes[2]
		back.stop()
		ofLevel(2, back)
		if back.start(); back.Ready(l.ctx(30*time.Second)) == nil || !errors.Is(back.Err(), ErrVersion) {
			l.t.Errorf("an old program on a new log: %v, want ErrVersion", back.Err())
		}
		if msg := fmt.Sprint(back.Err()); !strings.Contains(msg, "level 3") || !strings.Contains(msg, "speaks 1 to 2") {
			l.t.Errorf("the error does not say which levels: %s", msg)
		}
		l.nodes[0].must("append x 1")
		back.stop()
		joiner := Config{Name: "new", maxLevel: 2}
		if back.conf.Dir != "" {
			joiner.Dir = back.conf.Dir + "/new"
		}
		stranger := l.joiner("10.0.0.9", joiner)
		if err := stranger.Ready(l.ctx(30 * time.Second)); !errors.Is(err, ErrVersion) {
			l.t.Errorf("an old program that joins: %v, want ErrVersion", err)
		}
		stranger.stop()
		for _, srv := range l.nodes[0].instance().configuration().Servers {
			if nodeOf(string(srv.ID)) == stranger.Node.ID() {
				l.t.Error("a node that does not speak the level in force was taken in")
			}
		}
		ofLevel(3, back)
		back.start()
		l.ready(back)
		back.must("append x 2")
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

// takesNotes has a node log to notes from its next start on.
func (n *labNode) takesNotes() *notes {
	w := new(notes)
	n.log = w.logger()
	return w
}

// The farm's own nodes warn about the one that is too old, also if that is a program which cannot know about levels.
func TestTooOldIsNamed(t *testing.T) {
	unformed(t, 3, true, func(l *lab) {
		var logs []*notes
		for _, n := range l.nodes {
			n.conf.Join = n.everybody()
			logs = append(logs, n.takesNotes())
			n.start()
		}
		l.ready(l.nodes...)
		if _, err := l.nodes[0].Finalize(l.ctx(10 * time.Second)); err != nil {
			l.t.Fatal(err)
		}
		l.allAtLevel(protocolMax)
		old := l.joiner("10.0.0.9", Config{Name: "elder", Dir: l.nodes[0].conf.Dir + "/elder", maxLevel: 1})
		defer old.stop()
		l.until(20*time.Second, "some node warns about the old one", func() bool {
			for _, log := range logs {
				if strings.Contains(log.String(), "too old for this farm") && strings.Contains(log.String(), "elder at 10.0.0.9:7946") {
					return true
				}
			}
			return false
		})
	})
}

// Until somebody finalizes, every node can take up the new program and go back to the old one, with writes going on.
func TestUpAndDownBeforeFinalized(t *testing.T) {
	withLevels(t, []byte{1, 1, 1}, func(l *lab) {
		w := l.keepWriting()
		for _, max := range []byte{2, 1, 2} {
			for _, n := range l.nodes {
				ofLevel(max, n)
				n.again()
			}
		}
		w.check()
		if s := l.nodes[0].State(); s.Level != 1 {
			l.t.Errorf("level %d is in force, and nobody finalized", s.Level)
		}
	})
}

// steady is a number of writers that go on while nodes come and go, each through one node after the other.
type steady struct {
	lab  *lab
	stop chan struct{}
	wg   sync.WaitGroup
	done []int // writes acknowledged, by writer
}

const steadyWriters = 3

// keepWriting begins to write, and does so until check.
func (l *lab) keepWriting() *steady {
	s := &steady{lab: l, stop: make(chan struct{}), done: make([]int, steadyWriters)}
	for w := range steadyWriters {
		s.wg.Go(func() { s.write(w) })
	}
	return s
}

// write tries every write until it is acknowledged. It may take long enough for an election, but no longer.
func (s *steady) write(w int) {
	for i := 0; ; i++ {
		for began, at := time.Now(), i+w; ; at++ {
			select {
			case <-s.stop:
				return
			case <-time.After(23 * time.Millisecond):
			}
			node := s.lab.nodes[at%len(s.lab.nodes)].live.Load()
			if node == nil {
				continue // it is being restarted
			}
			_, _, err := node.Handle("kv").Propose(s.lab.ctx(10*time.Second), fmt.Appendf(nil, "set w%d %d", w, i))
			if err == nil {
				break
			}
			if time.Since(began) > 5*time.Second {
				s.lab.t.Errorf("no write for %v: %v", time.Since(began), err)
				return
			}
		}
		s.done[w] = i + 1
	}
}

// check ends the writing, and makes sure that it went on and that the last acknowledged write is there.
func (s *steady) check() {
	s.lab.t.Helper()
	close(s.stop)
	s.wg.Wait()
	s.lab.agree()
	for w, n := range s.done {
		if n < 20 {
			s.lab.t.Errorf("writer %d got through %d times", w, n)
		}
		got := s.lab.nodes[0].get(fmt.Sprintf("w%d", w))
		if last, next := fmt.Sprint(n-1), fmt.Sprint(n); got != last && got != next { // the next may have been under way
			s.lab.t.Errorf("writer %d finds %s, and %s was acknowledged", w, got, last)
		}
	}
}

// Without an operator the level rises a day (here: ten minutes) after all members have begun to speak it, and not while one
// of them is away.
func TestLevelRisesByItself(t *testing.T) {
	if c := (Config{}).withDefaults(); c.raiseAfter != 24*time.Hour {
		t.Errorf("the level rises by itself after %v", c.raiseAfter)
	}
	unformed(t, 3, true, func(l *lab) {
		for i, n := range l.nodes {
			n.conf.Join, n.conf.raiseAfter = n.everybody(), 10*time.Minute
			if i == 1 {
				ofLevel(1, n)
			}
			n.start()
		}
		l.ready(l.nodes...)
		fresh, last := l.nodes[0], l.nodes[1]
		time.Sleep(11 * time.Minute)
		ofLevel(2, last)
		last.again()
		time.Sleep(9 * time.Minute)
		if s := fresh.State(); s.Level != 1 || s.CommonLevel != 2 {
			l.t.Errorf("after nine minutes level %d is in force, %d in common", s.Level, s.CommonLevel)
		}
		last.stop()
		time.Sleep(3 * time.Minute)
		if s := fresh.State(); s.Level != 1 {
			l.t.Errorf("level %d came into force while a member was away", s.Level)
		}
		last.start()
		l.ready(last)
		l.allAtLevel(2)
	})
}

// Until level 2 is in force, snapshots are what level 1 reads; from then on they say so at once.
func TestSnapshotsOfLevels(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.register(7, "a.1", 1)
	f.commands(commandBatch(7, 1, 1, "append x 1"))
	if b := f.snapshot(); !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		t.Errorf("at level 1 a snapshot begins with %q", b[:8])
	}
	f.entry(append(entryHeader(entryLevel, 1), 2))
	b := f.snapshot()
	if !bytes.HasPrefix(b, []byte(snapshotMagic2)) {
		t.Errorf("at level 2 a snapshot begins with %q", b[:8])
	}
	g := newTestFSM(t, "a.1")
	if err := g.Restore(io.NopCloser(bytes.NewReader(b))); err != nil || g.levelInForce() != 2 || g.kv().get("x") != "1," {
		t.Errorf("restored level %d, x = %q: %v", g.levelInForce(), g.kv().get("x"), err)
	}
	old := newTestFSM(t, "a.1")
	old.maxLevel = 1
	if err := old.Restore(io.NopCloser(bytes.NewReader(b))); !errors.Is(err, ErrVersion) || !errors.Is(old.fault, ErrVersion) {
		t.Errorf("a program of level 1 restored a snapshot of level 2: %v, and halted with %v", err, old.fault)
	}
	old = newTestFSM(t, "a.1")
	old.maxLevel = 1
	if old.entry(append(entryHeader(entryLevel, 1), 2)); !errors.Is(old.fault, ErrVersion) {
		t.Errorf("a program of level 1 passed over an entry that puts level 2 in force: %v", old.fault)
	}
}

// The level never goes down, whatever the log says.
func TestLevelNeverFalls(t *testing.T) {
	f := newTestFSM(t, "a.1")
	f.entry(append(entryHeader(entryLevel, 1), 2))
	f.entry(append(entryHeader(entryLevel, 1), 1))
	if f.levelInForce() != 2 || f.fault != nil {
		t.Errorf("level %d, fault %v", f.levelInForce(), f.fault)
	}
}
