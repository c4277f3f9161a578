package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A batch leaves when it is at least as large as what is under way, or as large as a batch may be.
func TestEnough(t *testing.T) {
	for _, c := range []struct {
		queued, size, aloft int
		want                bool
	}{
		{0, 0, 0, false},
		{1, 200, 0, true}, // alone
		{1, 200, 1, true},
		{1, 200, 2, false},
		{7, 200, 8, false},
		{8, 200, 8, true},
		{wire.MaxEntryCommands - 1, 20, 5000, false},
		{wire.MaxEntryCommands, 20, 5000, true},
		{2, wire.MaxEntryBytes / 2, 100, true},
	} {
		o := newOriginator(nil, nil, nil)
		for range c.queued {
			o.submit(&proposal{cmd: make([]byte, c.size)})
		}
		o.flow.credit = load{8192, 64 << 20}
		o.flow.aloft.commands, o.flow.heard = c.aloft, time.Now()
		if got := o.enoughLocked(); got != c.want {
			t.Errorf("%d of %d B queued, %d under way: %v", c.queued, c.size, c.aloft, got)
		}
	}
}

// The counts of what is under way and of what is queued return to zero, whatever happens to the proposals.
func TestEnoughIsCounted(t *testing.T) {
	o := newOriginator(nil, nil, nil)
	submit := func() *proposal {
		p := &proposal{cmd: make([]byte, 10), done: make(chan outcome, 1)}
		o.submit(p)
		return p
	}
	a, b := submit(), submit()
	out := o.next()
	c := submit()
	if o.flow.aloft != (load{2, 20}) || o.flow.queued != (load{1, 10}) {
		t.Errorf("%+v under way, %+v queued; want 2 of 20 B, 1 of 10 B", o.flow.aloft, o.flow.queued)
	}
	a.giveUp()
	b.giveUp()
	if out.seal() {
		t.Error("nobody waits, and the batch leaves")
	}
	o.landed(out) // it counts with all that it was made of
	c.giveUp()
	o.leave(c)
	if o.flow.aloft != (load{}) || o.flow.queued != (load{}) {
		t.Errorf("%+v under way, %+v queued", o.flow.aloft, o.flow.queued)
	}
	// and the queue does not keep proposals whose callers are gone, however long there is no leader
	for range 3 * tidyFrom {
		p := submit()
		p.giveUp()
		o.leave(p)
	}
	if len(o.queue) > 2*tidyFrom {
		t.Errorf("%d in the queue that nobody waits for", len(o.queue))
	}
	submit()
	if out := o.next(); len(out.ps) != 1 || o.gone != 0 || len(o.queue) != 0 {
		t.Errorf("%d in the batch, %d gone, %d left; want 1, 0, 0", len(out.ps), o.gone, len(o.queue))
	}
}

// A caller that gives up while its batch is put together leaves the batch to those who join it after.
func TestDesertedWhileItFills(t *testing.T) {
	for range 200 {
		o := newOriginator(nil, nil, nil)
		var ps []*proposal
		for range wire.MaxEntryCommands {
			p := &proposal{cmd: make([]byte, 10), done: make(chan outcome, 1)}
			o.submit(p)
			ps = append(ps, p)
		}
		begin, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			<-begin
			for _, p := range ps[:len(ps)-1] {
				p.giveUp()
			}
		}()
		close(begin)
		out := o.next()
		<-done
		if len(out.ps) > 0 && out.ctx.Err() != nil {
			t.Fatal("a batch in which somebody waits counts as deserted")
		}
		ps[len(ps)-1].giveUp()
		if out.ctx.Err() == nil {
			t.Fatal("a batch in which nobody waits is not given up")
		}
	}
}

// An entry is full by its commands or by its bytes. Some large commands share an entry, since each entry
// costs a slow disk the same; but it does not take all that wait.
func TestFullEntry(t *testing.T) {
	const most = wire.MaxEntryBytes
	for _, c := range []struct {
		commands, size int // of each
		full           bool
	}{
		{0, 0, false},
		{wire.MaxEntryCommands - 1, 200, false},
		{wire.MaxEntryCommands, 200, true},
		{6, 20 << 10, false},
		{7, 20 << 10, true},
		{2, 100 << 10, false},
		{3, 100 << 10, true},
		{1, most, false},
		{1, 3*most - 1, false},
		{1, 3 * most, true},
		{2, 3 * most / 2, true},
	} {
		var e cargo
		for range c.commands {
			e.add(&leaderBatch{Batch: wire.Batch{Count: 1, Body: make([]byte, c.size)}})
		}
		if e.size -= c.commands * (&wire.Batch{}).Size(); e.full() != c.full {
			t.Errorf("%d commands of %d B: full is %v", c.commands, c.size, !c.full)
		}
	}
}

// An entry gathers until it holds as much as those in flight, or these have landed, or the leadership ends.
func TestGather(t *testing.T) {
	for name, end := range map[string]func(s *sequencer, cancel func()){
		"enough": func(s *sequencer, _ func()) {
			s.queue <- &leaderBatch{Batch: wire.Batch{Seq: 2,
				Count: 1}}
		},
		"landed": func(s *sequencer, _ func()) {
			s.aloft.Store(0)
			signal(s.landed)
		},
		"over": func(_ *sequencer, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				none := func() map[string]replica.Machine { return nil }
				in := &instance{core: &core{fsm: replica.New(replica.Config{Machines: none})}}
				s := newSequencer(&tenure{in: in, ctx: ctx}, nil, nil)
				s.aloft.Store(3)
				var c cargo
				gathered := make(chan bool, 1)
				go func() { gathered <- s.gather(&c) }()
				s.queue <- &leaderBatch{Batch: wire.Batch{Count: 2}}
				signal(s.landed) // others have landed, but these three have not
				synctest.Wait()
				if len(gathered) > 0 {
					t.Fatal("two commands left behind three")
				}
				end(s, cancel)
				if got := <-gathered; got != (name != "over") || c.commands < 2 {
					t.Errorf("%v, %d commands", got, c.commands)
				}
			})
		})
	}
}
