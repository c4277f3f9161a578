package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// strain is a farm, what its disks do, and what is asked of it.
type strain struct {
	nodes    int
	write    time.Duration // for each append to the log
	pace     int           // bytes that an append stores in a second; 0: any number
	line     time.Duration // between two nodes, one way; then nobody writes on the one that leads
	size     int           // of a command
	patience time.Duration // of a caller
	writers  int           // on each node, as many as the farm can serve
	idlers   time.Duration // all nodes but one write once in so long, or never if negative; 0 = as the one
	run      time.Duration
	least    int           // of the commands of so many writers are done
	p99      time.Duration // in which the slowest but one in a hundred of those who are served are served
	lost     float64       // so many of a hundred that are not refused may be given up
}

// strained is what became of it.
type strained struct {
	acked, refused, uncertain, late int
	took                            []time.Duration // of acked, ascending
	idlers                          []time.Duration // what the writes of idlers took, ascending
	idlersFailed                    int
	retries                         uint64  // batches that were sent again
	all                             float64 // commands in the log, per acknowledged one
	broken                          string  // of the promises: what
}

func (o strained) p99() time.Duration {
	if len(o.took) == 0 {
		return 0
	}
	return o.took[len(o.took)*99/100]
}

func (o strained) String() string {
	return fmt.Sprintf("%d acknowledged (p99 %v), %d refused, %d uncertain, %d not tried; %.2f in the log "+
		"for each acknowledged one",
		o.acked, o.p99().Round(time.Millisecond), o.refused, o.uncertain, o.late, o.all)
}

// lost returns how many of a hundred commands that were not refused were given up.
func (o strained) lost() float64 {
	gone := float64(o.uncertain + o.late)
	return 100 * gone / max(1, gone+float64(o.acked))
}

// strainedStore takes its time for each append, below every watchdog's limit, and counts the copies of each
// command.
type strainedStore struct {
	raftlog.Store
	strain *strain
	on     *atomic.Bool
	books  *books
}

// books has how many copies of each command all the logs hold.
type books struct {
	mu     sync.Mutex
	copies map[string]int
}

func (s strainedStore) StoreLogs(logs []*raft.Log) error {
	size := 0
	for _, l := range logs {
		size += len(l.Data)
		s.books.note(l.Data)
	}
	if s.on.Load() {
		d := s.strain.write
		if s.strain.pace > 0 {
			d += time.Duration(size) * time.Second / time.Duration(s.strain.pace)
		}
		time.Sleep(d)
	}
	return s.Store.StoreLogs(logs)
}

func (b *books) note(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		i := bytes.Index(data, []byte("strain <"))
		if i < 0 {
			return
		}
		data = data[i+len("strain <"):]
		id, rest, _ := bytes.Cut(data, []byte(">"))
		b.copies[string(id)]++
		data = rest
	}
}

// under returns what a farm does while a number of writers on each node ask it to write, one command after
// the other. Who is refused rests for a second.
func (s strain) under(t *testing.T, writers int) (o strained) {
	unformed(t, s.nodes, true, func(l *lab) {
		var on atomic.Bool
		b := &books{copies: map[string]int{}}
		for i, n := range l.nodes {
			if i > 0 {
				n.conf.Join = []string{"10.0.0.1:7946"}
			}
			n.conf.Tuning.SnapshotBytes = 1 << 40
			if s.line > 0 {
				n.conf.Tuning.Heartbeat = 20 * s.line
			}
			n.hooks.wrapStore = func(inner raftlog.Store) raftlog.Store {
				return strainedStore{inner, &s, &on,
					b}
			}
			n.start()
		}
		l.ready(l.nodes...)
		for i, a := range l.nodes {
			for _, b := range l.nodes[:i] {
				l.net.Delay(a.ip, b.ip, s.line)
				l.net.Delay(b.ip, a.ip, s.line)
			}
		}
		before := l.sent()
		on.Store(true)
		ctx, cancel := context.WithTimeout(l.t.Context(), s.run)
		defer cancel()
		fill := strings.Repeat("x", s.size)
		told := map[string]error{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for k, n := range l.nodes {
			if s.line > 0 && n.leads() {
				continue
			}
			idler := s.idlers != 0 && k != s.nodes/2
			for w := range writers {
				if idler && (w > 0 || s.idlers < 0) {
					break
				}
				wg.Go(func() {
					// they come one by one
					time.Sleep(time.Duration(w) * time.Second / time.Duration(writers))
					if idler {
						time.Sleep(time.Duration(k) * s.idlers / time.Duration(s.nodes))
					}
					for i := 0; ctx.Err() == nil; i++ {
						id := fmt.Sprintf("%s.%d.%d", n.conf.Name, w, i)
						began := time.Now()
						patience, stop := context.WithTimeout(l.t.Context(), s.patience)
						cmd := "strain <" + id + "> " + fill
						if idler {
							cmd = cmd[:min(len(cmd), 200)]
						}
						_, _, err := n.Handle("kv").Propose(patience, []byte(cmd))
						stop()
						mu.Lock()
						told[id] = err
						switch {
						case idler && err != nil:
							o.idlersFailed++
						case idler:
							o.idlers = append(o.idlers, time.Since(began))
						case err == nil && ctx.Err() == nil:
							o.acked++
							o.took = append(o.took, time.Since(began))
						}
						mu.Unlock()
						if idler {
							sleep.For(ctx, s.idlers)
						} else if errors.Is(err, ErrOverloaded) {
							sleep.For(ctx, time.Second)
						}
					}
				})
			}
		}
		wg.Wait()
		on.Store(false)
		time.Sleep(time.Minute) // what was given up on its way is in the log by then
		slices.Sort(o.took)
		slices.Sort(o.idlers)
		o.settle(told, b, s.nodes)
		after := l.sent()
		if o.retries = after.retries - before.retries; after.lines != before.lines {
			o.broken = fmt.Sprintf("leaders and connections changed from %s to %s", before.lines, after.lines)
		}
	})
	return o
}

// sending is how often nodes have sent a batch again, and over which connections to which leader they send.
type sending struct {
	retries uint64
	lines   string
}

func (l *lab) sent() (s sending) {
	for _, n := range l.nodes {
		now := n.Stats()
		s.retries += now.Proposals.Retries
		s.lines += fmt.Sprintf("%s in term %d", now.Leader, now.Term)
		for _, p := range now.Peers {
			if p.Node == now.Leader && p.Link.Connected {
				s.lines += fmt.Sprintf(" since %v", p.Link.Since)
			}
		}
		s.lines += "; "
	}
	return s
}

// settle holds what callers were told to what the logs hold.
func (o *strained) settle(told map[string]error, b *books, nodes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	acked, all := 0, 0
	for id, err := range told {
		n := b.copies[id]
		if all += n; n > nodes {
			o.broken = fmt.Sprintf("%s stands %d times in the logs of %d nodes", id, n, nodes)
		}
		switch {
		case err == nil:
			acked++
			if n < nodes/2+1 {
				o.broken = fmt.Sprintf("%s was acknowledged and stands in %d logs of %d", id, n, nodes)
			}
		case errors.Is(err, ErrUncertain):
			o.uncertain++
		case errors.Is(err, ErrOverloaded), errors.Is(err, ErrNoLeader):
			if errors.Is(err, ErrOverloaded) {
				o.refused++
			} else {
				o.late++
			}
			if n > 0 {
				o.broken = fmt.Sprintf("%s stands in the log after: %v", id, err)
			}
		default:
			o.broken = fmt.Sprintf("%s: %v", id, err)
		}
	}
	o.all = float64(all) / float64(max(acked, 1)) / float64(nodes)
}

// hold has a farm do what it can, and asks ten times as much of it.
func (s strain) hold(t *testing.T) {
	t.Helper()
	best, much := s.under(t, s.writers), s.under(t, 10*s.writers)
	t.Logf("%d writers: %v", s.nodes*s.writers, best)
	t.Logf("%d writers: %v", s.nodes*s.writers*10, much)
	if much.acked < best.acked*8/10 {
		t.Errorf("at ten times the load %d were acknowledged, %d at the best one", much.acked, best.acked)
	}
	if best.acked < s.least {
		t.Errorf("%d were acknowledged, want at least %d", best.acked, s.least)
	}
	if much.p99() > s.p99 {
		t.Errorf("99 of 100 took up to %v, want %v", much.p99(), s.p99)
	}
	if lost := much.lost(); lost > s.lost {
		t.Errorf("%.1f %% of those that were not refused were given up, want at most %.1f %%", lost, s.lost)
	}
	for _, o := range []strained{best, much} {
		if o.broken != "" {
			t.Error(o.broken)
		}
		if o.retries > 0 {
			t.Errorf("%d batches were sent again, though leader and connections stayed", o.retries)
		}
	}
	if much.refused == 0 {
		t.Error("nobody was refused: that was not too much")
	}
}

// A usual disk, or a line of usual width, is here one of 10 MB/s, with 5 ms for each append.
const usualWrite, usualPace = 5 * time.Millisecond, 10 << 20

// On slow disks each append takes 75 ms.
const slowWrite = 75 * time.Millisecond

// On the slowest ones nothing is written in less than two of their writes, one on the leader and one on a
// follower, which is more than a second. Under any load it takes a few of them.
const slowestWrite, slowestBound = 700 * time.Millisecond, 12 * 700 * time.Millisecond

const large, medium = 100 << 10, 20 << 10

// However much more is asked of a farm than its disks can do, they do as much as at the best load, nothing
// twice, and in time.
// Slow: eight farms of three and nine nodes write for seconds, or for a minute on slow disks.
func TestOverload(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]strain{
		"usual": {nodes: 3, write: usualWrite, pace: usualPace, size: large, patience: time.Minute,
			writers: 4,
			run:     2 * time.Second, p99: time.Second},
		"nine nodes": {nodes: 9, write: usualWrite, pace: usualPace, size: medium, patience: time.Minute,
			writers: 4,
			run:     2 * time.Second, p99: time.Second},
		"callers give up": {nodes: 3, write: usualWrite, pace: usualPace, size: medium,
			patience: 150 * time.Millisecond, writers: 8,
			run: 4 * time.Second, p99: time.Second, lost: 25},
		"slow disks": {nodes: 3, write: slowWrite, size: large, patience: time.Minute, writers: 4,
			run: 16 * time.Second, p99: time.Second, least: 400},
		"long lines": {nodes: 3, line: 100 * time.Millisecond, write: usualWrite, pace: usualPace, size: medium,
			patience: time.Minute, writers: 16,
			run: 10 * time.Second, p99: 1800 * time.Millisecond, // the lines take 0.4 s
			least: 400}, // 303 by a pace in which the lines count
		"slowest disks": {nodes: 3, write: slowestWrite, size: large, patience: time.Minute, writers: 4,
			run: 30 * time.Second, p99: slowestBound, least: 80}, // 76 with two commands in an entry
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if race.Enabled && name != "usual" {
				t.Skip(onlyWaitedFor)
			}
			s.hold(t)
		})
	}
}

// The same, with more of everything.
func TestOverloadOfManyNodes(t *testing.T) {
	if !ci.Torture() {
		t.Skip("it takes minutes; make torture runs it")
	}
	for name, s := range map[string]strain{
		"twenty nodes": {nodes: 20, write: usualWrite, pace: usualPace, size: large, patience: time.Minute,
			writers: 2,
			run:     10 * time.Second, p99: time.Second},
		"twenty nodes, callers give up": {nodes: 20, write: usualWrite, pace: usualPace, size: large,
			patience: time.Second,
			writers:  2, run: 10 * time.Second, p99: time.Second},
		"nine nodes, large commands": {nodes: 9, write: usualWrite, pace: usualPace, size: large,
			patience: time.Minute, writers: 2,
			run: 10 * time.Second, p99: time.Second},
		"small commands": {nodes: 3, write: 50 * time.Millisecond, size: 200, patience: time.Minute,
			writers: 500,
			run:     5 * time.Second, p99: time.Second},
		"slow disks, nine nodes": {nodes: 9, write: slowWrite, size: large, patience: time.Minute, writers: 2,
			run: 30 * time.Second, p99: time.Second},
		"slow disks, callers give up": {nodes: 3, write: slowWrite, size: large, patience: time.Second,
			writers: 4, run: 30 * time.Second, p99: time.Second, lost: 5},
		"disks of 1 MB/s": {nodes: 3, write: usualWrite, pace: 1 << 20, size: medium, patience: time.Minute,
			writers: 8, run: 4 * time.Minute, p99: time.Second},
		"slowest disks, nine nodes": {nodes: 9, write: slowestWrite, size: large, patience: time.Minute,
			writers: 2, run: 2 * time.Minute, p99: slowestBound},
		"slowest disks, twenty nodes": {nodes: 20, write: slowestWrite, size: large, patience: time.Minute,
			writers: 1, run: 2 * time.Minute, p99: slowestBound},
		"slowest disks, callers give up": {nodes: 3, write: slowestWrite, size: large,
			patience: 6 * time.Second, writers: 4, run: 2 * time.Minute, p99: slowestBound, lost: 5},
	} {
		t.Run(name, s.hold)
	}
}
