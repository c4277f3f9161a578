package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// Two nodes are given backups to restore at once. One does, and the other is told; there is one farm.
// Slow: two restores of a farm, in memory and with disks.
func TestTwoRestoresAtOnce(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			together(t, 3, durable, func(l *lab) {
				leader, others := l.leader()
				l.fill(leader, "k", l.nodes...)
				backup := snapshotOf(l.t, leader)
				done := make([]error, len(others))
				var wg sync.WaitGroup
				for i, n := range others {
					wg.Go(func() { done[i] = n.Restore(l.ctx(time.Minute), bytes.NewReader(backup)) })
				}
				wg.Wait()
				if (done[0] == nil) == (done[1] == nil) {
					t.Errorf("one of two was to be carried out: %v; %v", done[0], done[1])
				}
				l.oneFarm(leader)
				for _, n := range l.nodes {
					l.filled(n, "k")
				}
				if err := leader.Restore(l.ctx(time.Minute), bytes.NewReader(backup)); err != nil {
					t.Errorf("the next one: %v", err)
				}
				l.oneFarm(leader)
			})
		})
	}
}

// A claim that was given back holds up nobody. Neither does the claim of a node that is gone, nor a restore
// that failed.
func TestClaimEnds(t *testing.T) {
	t.Parallel()
	together(t, 3, true, func(l *lab) {
		a, b, c := l.nodes[0], l.nodes[1], l.nodes[2]
		a.must("set k v")
		farm := wire.AppendString(nil, a.self().cluster)
		by := func(n *labNode) wire.Hello { return wire.Hello{Source: n.instance().server} }
		take, back := append(farm[:len(farm):len(farm)], 0), append(farm[:len(farm):len(farm)], 1)
		for _, step := range []struct {
			who  *labNode
			what []byte
			want error
		}{
			{a, take, nil}, {a, take, nil}, {b, take, wire.ErrWordGiven}, {b, back, nil},
			{b, take, wire.ErrWordGiven}, {a, back, nil}, {b, take, nil},
			{c, append(wire.AppendString(nil, "another"), 0), ErrOtherFarm}, {c, nil, wire.ErrMalformed},
		} {
			if err := c.claims.answer(by(step.who), step.what); !errors.Is(err, step.want) {
				t.Errorf("%s asks by %q: %v, want %v", step.who.conf.Name, step.what, err, step.want)
			}
		}
		if err := a.Restore(l.ctx(time.Minute), bytes.NewReader(snapshotOf(t, a))); !errors.Is(err, errBusy) {
			t.Errorf("%s has it, and another one restores: %v", b.conf.Name, err)
		}
		if _, err := l.operator().At(a.conf.Listen).Restore(l.ctx(time.Minute), "",
			bytes.NewReader(l.saved())); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("an operator is told: %v", err)
		}
		b.kill()
		l.until(time.Minute, "its death is known",
			func() bool { return a.directory.Get(b.id).Status == roster.Dead && c.claims.held() == "" })
		if err := a.Restore(l.ctx(time.Minute), bytes.NewReader(snapshotOf(t, a))); err != nil {
			t.Error(err)
		}
		b.start()
		l.oneFarm(a)
	})
}

// A farm is restored in both halves of a partition, where neither can know of the other. The two farms refuse
// each other, and say what to do.
// Slow: both halves of a farm are restored, and meet.
func TestRestoredInBothHalves(t *testing.T) {
	t.Parallel()
	together(t, 2, true, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		log := &lockedBuffer{}
		a.must("set k v")
		a.stop()
		a.log = slog.New(slog.NewTextHandler(log, nil))
		a.start()
		l.ready(a)
		l.cut(a)
		time.Sleep(10 * time.Second)
		for _, n := range l.nodes {
			if err := n.Restore(l.ctx(time.Minute), bytes.NewReader(snapshotOf(t, n))); err != nil {
				t.Fatal(err)
			}
		}
		l.net.Heal()
		time.Sleep(time.Minute)
		if a.State().ClusterID == b.State().ClusterID {
			t.Error("two farms have become one")
		}
		if !strings.Contains(log.String(), "decide which of the two goes on") {
			t.Errorf("nobody says what to do:\n%s", log)
		}
		b.stop()
		b.conf.Dir = filepath.Join(b.conf.Dir, "empty")
		b.conf.Join = []string{a.conf.Listen}
		b.start()
		l.ready(a, b)
		if b.get("k") != "v" {
			t.Error("what it gave way to is not what it has")
		}
	})
}
