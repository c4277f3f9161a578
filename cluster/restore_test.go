package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

func kvAnd(names ...string) map[string]func() StateMachine {
	m := map[string]func() StateMachine{"kv": newKV}
	for _, name := range names {
		m[name] = newKV
	}
	return m
}

// A program that lacks one of the state machines in the snapshot on its disk says so, and does nothing else.
func TestOpenWithSnapshotOfUnknownMachine(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(t.Context(), Config{Dir: dir, Expect: 1, Machines: kvAnd("more"), Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	ready(t, n)
	propose(t, n, "append x 1")
	if err := n.instance().snapshotting.take(1, 1); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{Dir: dir, Machines: kvAnd(), Logger: testLogger()})
	if !errors.Is(err, ErrVersion) {
		t.Errorf("Open without a machine of the snapshot: %v, want ErrVersion", err)
	}
	n, err = Open(t.Context(), Config{Dir: dir, Machines: kvAnd("more"), Logger: testLogger()})
	if err != nil {
		t.Fatal("with the right program again:", err)
	}
	ready(t, n)
	if got := local(n, "x"); got != "1," {
		t.Errorf("x = %q", got)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// The log's time goes on from where it was, also if it is ahead of all clocks and the leader has just come
// back from disk.
func TestTimeGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	inLab(t, 1, true, func(l *lab) {
		n := l.nodes[0]
		ahead := time.Now().Add(time.Hour)
		if err := n.instance().raft.Apply(wire.EntryHeader(wire.EntryOpen, uint64(ahead.UnixMilli())),
			time.Second).Error(); err != nil {
			l.t.Fatal(err)
		}
		n.must("append x 1")
		n.kill()
		n.start()
		l.ready(n)
		n.must("append x 2")
		before := n.now()
		time.Sleep(time.Minute)
		n.must("append x 3")
		if d := n.now().Sub(before); before.Before(ahead) || d < 59*time.Second {
			l.t.Errorf("after the restart the log's time is %v, an hour ahead is %v; it went on by %v in a "+
				"minute", before, ahead, d)
		}
	})
}

func (n *labNode) now() time.Time {
	m := n.Handle("kv").Local().(*kv)
	m.Mu.Lock()
	defer m.Mu.Unlock()
	return m.Now
}
