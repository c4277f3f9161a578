package cluster

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// TestSimulation does random things to a farm in fake time, while callers write and read through all of its
// nodes, and holds it to the model of what they were told. The seed decides on the farm, on what is done, and
// when; which goroutine runs first remains chance. `make sim SEED=7 MINUTES=30 PKG=./cluster` runs one seed
// for as long; without SEED it is a random one. With WEBFARM_BESIDE raft has issue 695, which is found. Plain
// `go test` takes the same few seeds each time, and one with the race detector.
// Slow: what it finds depends on how much it does.
func TestSimulation(t *testing.T) {
	seeds, minutes := []uint64{1, 2, 3}, 2
	if race.Enabled {
		seeds = seeds[:1] // which takes as long
	}
	if env := os.Getenv("WEBFARM_MINUTES"); env != "" {
		minutes = int(envNumber(t, "WEBFARM_MINUTES"))
		seeds = []uint64{cmp.Or(envNumber(t, "WEBFARM_SEED"), rand.Uint64())}
	} else if seed := envNumber(t, "WEBFARM_SEED"); seed != 0 {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			again := fmt.Sprintf("repeat with: make sim SEED=%d MINUTES=%d PKG=./cluster", seed, minutes)
			t.Log(again)
			t.Cleanup(func() {
				if t.Failed() {
					t.Error(again) // last, where a log that was cut off at its beginning still has it
				}
			})
			dir := t.TempDir()
			bubble.Test(t, func(t *testing.T) { simulate(t, seed, time.Duration(minutes)*time.Minute, dir) })
		})
	}
}

func envNumber(t *testing.T, name string) uint64 {
	n, err := strconv.ParseUint(cmp.Or(os.Getenv(name), "0"), 10, 64)
	if err != nil {
		t.Fatalf("%s is %q: %v", name, os.Getenv(name), err)
	}
	return n
}

// deadAfter is short, so that a machine that lost its disk, and is another node since, loses its former seat
// soon.
const deadAfter = 30 * time.Second

// marksEvery is short, so that whole states are hashed and compared between the faults.
const marksEvery = 7 * time.Second

// simulation is the one who does things to the farm.
type simulation struct {
	*script
	rnd   *rand.Rand
	begun time.Time
	ledger
	strains *strains
	pace    time.Duration // between the writes of each caller
	lost    bool          // a node has lost its log, or left, since the farm was whole: no other one may
	deposed int           // how often a leader was deposed slowly
	both    int           // in how many of these two led at one moment
}

func simulate(t *testing.T, seed uint64, d time.Duration, dir string) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	p := play{machines: 3 + 2*rnd.IntN(2), durable: rnd.IntN(2) == 0, formed: true}
	s := &simulation{script: newScript(t, fmt.Sprintf("seed %d", seed), p, dir), rnd: rnd,
		strains: newStrains(seed), begun: time.Now()}
	t.Cleanup(s.end)
	s.log("%s, SnapshotBytes %d", p, s.strains.snapshot)
	for _, a := range s.cast {
		s.prepare(a)
	}
	s.doFarm("")
	s.doFarmctl("finalize")
	for time.Since(s.begun) < d {
		s.phase()
	}
	s.oneLeaderPerTerm()
	acked := 0
	for _, k := range s.model.keys {
		acked += len(k.acked)
	}
	restores := int64(0)
	for _, a := range s.cast {
		restores += a.slow.restores.Load()
	}
	t.Logf("%d writes were acknowledged, %d snapshots restored; %d leaders were deposed slowly, and %d of them "+
		"led beside the next one", acked, restores, s.deposed, s.both)
	if acked < 20*int(d.Minutes()) {
		t.Errorf("only %d writes were acknowledged: too few to tell anything", acked)
	}
}

// prepare configures a machine for this.
func (s *simulation) prepare(a *actor) {
	a.conf.Tuning.DeadAfter, a.hooks.markEvery = deadAfter, marksEvery
	a.hooks.heartbeatsBeside = os.Getenv("WEBFARM_BESIDE") != ""
	a.conf.Tuning.SnapshotBytes = s.strains.snapshot
	a.note = func(number int, index, chain uint64, command []byte) {
		s.ledger.applied(a.conf.Name, number, index, chain, command)
	}
}

func (s *simulation) log(format string, args ...any) {
	s.line.text = fmt.Sprintf(format, args...)
	s.t.Logf("%8.3fs %s", time.Since(s.begun).Seconds(), s.line.text)
}

// phase lets the farm suffer for a while, and makes it whole again.
func (s *simulation) phase() {
	s.pace = s.between(20*time.Millisecond, time.Second)
	s.model.begin(s.nodes, s.pace)
	stop := s.readers()
	for range 1 + s.rnd.IntN(6) {
		s.strain()
		s.fault()
		time.Sleep(s.between(20*time.Millisecond, 8*time.Second))
		s.allApplyTheSame()
	}
	s.repair()
	if s.rnd.IntN(4) == 0 {
		s.setBack()
	}
	stop()
	s.model.stop()
	s.log("check")
	s.check()
	s.allApplyTheSame()
	s.logsAgree()
	s.nobodyDiffers()
	s.census()
}

func (s *simulation) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.rnd.Int64N(int64(high-low)))
}

func (s *simulation) anyone() *actor { return s.cast[s.rnd.IntN(len(s.cast))] }

// fault does one thing to the farm.
func (s *simulation) fault() {
	a, b := s.anyone(), s.anyone()
	switch s.rnd.IntN(21) {
	case 0, 1:
		s.down(a, "kill", !s.durable, a.die)
	case 2:
		s.down(a, "stop", !s.durable, a.finish)
	case 3:
		s.down(a, "move", !s.durable, func() {
			a.die()
			s.move(a)
			s.back(a)
		})
	case 4:
		s.down(a, "leave", true, func() { s.leave(a) })
	case 5:
		s.down(a, "wipe", true, func() {
			a.die()
			a.await()
			os.RemoveAll(a.conf.Dir)
		})
	case 6:
		var groups [2][]string
		for _, n := range s.cast {
			i := s.rnd.IntN(2)
			groups[i] = append(groups[i], n.ip)
		}
		s.log("partition %v", groups)
		s.net.Partition(groups[:]...)
	case 7:
		s.log("cut %s -> %s", a.ip, b.ip)
		s.net.Cut(a.ip, b.ip)
	case 8:
		d := s.between(time.Millisecond, 150*time.Millisecond)
		s.log("delay %s -> %s by %v", a.ip, b.ip, d)
		s.net.Delay(a.ip, b.ip, d)
	case 9:
		p := s.rnd.Float64()
		s.log("lose %.0f%% %s -> %s", 100*p, a.ip, b.ip)
		s.net.Lose(a.ip, b.ip, p)
	case 10, 11:
		if s.durable && a.up {
			s.log("hang the disk of %s", a.conf.Name)
			a.disk.hang()
			time.Sleep(s.between(100*time.Millisecond, 10*time.Second))
			a.freeDisk()
		}
	case 12:
		if len(s.cast) < 7 {
			s.log("add")
			n := s.addMachine()
			s.prepare(n)
			s.back(n)
		}
	case 14:
		p, most := 0.2*s.rnd.Float64(), s.between(200*time.Millisecond, 3*time.Second)
		s.log("stall %.1f%% everywhere by up to %v", 100*p, most)
		for _, x := range s.cast {
			for _, y := range s.cast {
				s.net.Stall(x.ip, y.ip, p, most)
			}
		}
	case 15:
		for range 1 + s.rnd.IntN(5) {
			s.transfer(s.anyone())
			time.Sleep(s.between(20*time.Millisecond, 2*time.Second))
		}
	case 16, 17, 18:
		for range 1 + s.rnd.IntN(3) {
			s.depose()
		}
	case 20:
		if a.up {
			s.pause(a)
		}
	case 13, 19:
		s.log("heal")
		s.doHeal("")
	}
}

// pause has a machine stand still as far as others can see, and its raft as soon as it writes to a disk. What
// streams have carried to it meanwhile arrives at once. It ends all cuts.
func (s *simulation) pause(a *actor) {
	s.log("pause %s", a.conf.Name)
	for _, n := range s.cast {
		if n != a {
			s.net.Cut(a.ip, n.ip)
			s.net.Cut(n.ip, a.ip)
		}
	}
	if s.durable {
		a.disk.hang()
	}
	time.Sleep(s.between(50*time.Millisecond, 3*time.Second))
	s.net.Heal()
	a.freeDisk()
}

// transfer has the leader, if there is one, hand over to somebody.
func (s *simulation) transfer(to *actor) {
	if leader := s.leads(); leader != nil && to.up {
		s.log("transfer from %s to %s", leader.conf.Name, to.conf.Name)
		server := to.instance().server
		leader.instance().raft.LeadershipTransferToServer(raft.ServerID(server), raft.ServerAddress(server))
	}
}

// depose has the others lose sight of the leader, while it goes on to believe in itself for a moment: their
// answers are late, and then what it sends is. When there is another leader, what that sends on an idle
// connection overtakes the rest; and entries come in to the old one, as a busy leadership hands them to raft:
// of no effect, but for the place that they take in the log. The callers rest for that time, as between two
// bursts. What the old leader takes before it hears of the new one is overwritten by that in any case, so
// nothing can be seen if they write all the time.
func (s *simulation) depose() {
	leader := s.leads()
	if leader == nil {
		return
	}
	s.model.stop()
	s.log("depose %s slowly", leader.conf.Name)
	time.Sleep(s.between(10*time.Millisecond, 500*time.Millisecond))
	var others []*labNode
	for _, a := range s.live() {
		if a != leader {
			others = append(others, a.labNode)
		}
	}
	stop := s.watchLogs()
	s.deposed++
	both := s.changeLeaderSlowly(s.rnd, leader.labNode, others, func(to *labNode) {
		to.instance().raft.Apply(wire.EntryHeader(wire.EntryOpen, uint64(time.Now().UnixMilli())), 0)
	})
	if both {
		s.both++
	}
	time.Sleep(s.between(500*time.Millisecond, 2*time.Second))
	s.model.begin(s.nodes, s.pace) // what the old leader has may be committed there only now
	time.Sleep(s.between(100*time.Millisecond, 3*time.Second))
	stop()
	s.allApplyTheSame()
}

// watchLogs compares all the time the latest entries that the live nodes have committed: a farm that has
// noticed a difference mends itself within moments.
func (s *simulation) watchLogs() (stop func()) {
	var wg sync.WaitGroup
	ended := make(chan struct{})
	live := s.live()
	wg.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-s.t.Context().Done(): // the test has failed
				return
			case <-time.After(25 * time.Millisecond):
			}
			for _, a := range live[1:] {
				s.differs(logsApart(live[0].labNode, a.labNode, 60))
			}
		}
	})
	return func() { close(ended); wg.Wait() }
}

// down ends the life of a node, if the farm can bear it. forgets says that the node loses its log by it.
func (s *simulation) down(a *actor, how string, forgets bool, do func()) {
	if !a.up || forgets && s.lost {
		return
	}
	s.lost = s.lost || forgets
	s.log("%s %s", how, a.conf.Name)
	do()
}

func (s *simulation) leave(a *actor) {
	a.up = false
	a.live.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Leave(ctx); err != nil {
		s.log("%s could not leave: %v", a.conf.Name, err)
	}
}

func (s *simulation) move(a *actor) {
	a.await()
	var net, host int
	fmt.Sscanf(a.ip, "10.0.%d.%d", &net, &host)
	a.moveTo(fmt.Sprintf("10.0.%d.%d", net+1, host))
}

// back starts a node that joins all others.
func (s *simulation) back(a *actor) {
	a.conf.Join = nil
	for _, n := range s.cast {
		if n != a {
			a.conf.Join = append(a.conf.Join, n.conf.Listen)
		}
	}
	a.begin()
}

// repair ends all faults, and the farm must be whole within a bound.
func (s *simulation) repair() {
	s.log("repair")
	s.doHeal("")
	s.relax()
	for _, a := range s.cast {
		a.freeDisk()
		if !a.up {
			s.back(a)
		}
	}
	s.log("leader")
	s.until(30*time.Second, "somebody leads", func() bool { return s.leads() != nil })
	s.log("ready")
	s.ready(s.nodes...)
	s.until(3*deadAfter, "all have their places", s.placed)
	s.lost = false
}

// placed reports whether all have the places that they should. A voter that is gone for good keeps its place
// if all who live vote and are an even number: see planBurial.
func (s *simulation) placed() bool {
	leader, n := s.leads(), len(s.cast)
	if leader == nil {
		return false
	}
	servers, voters := len(leader.instance().configuration().Servers), len(leader.instance().voters())
	return servers == n && voters == voting.OddVoters(n, defaultMaxVoters) || n%2 == 0 && servers == n+1 &&
		voters == n+1
}

// setBack sets the disk of one node, of a farm that is well, back to what it was some seconds ago.
func (s *simulation) setBack() {
	if !s.durable {
		return
	}
	a := s.anyone()
	s.log("set the disk of %s back", a.conf.Name)
	a.finish() // a copy under way while the log is written is none
	s.doCopy(s.diskOf(a))
	s.back(a)
	s.ready(a.labNode)
	time.Sleep(s.between(time.Second, 5*time.Second))
	a.die()
	s.doRestore(s.diskOf(a))
	s.back(a)
	s.ready(a.labNode)
}

// logsAgree checks that no two nodes that live have committed different entries, of late, at one index.
func (s *simulation) logsAgree() {
	live := s.live()
	for _, a := range live {
		if apart := logsApart(live[0].labNode, a.labNode, 300); apart != "" {
			s.fatalf("%s, %s: %s", live[0].conf.Name, a.conf.Name, apart)
		}
	}
}

// allApplyTheSame checks that no replica has applied another command than the others.
func (s *simulation) allApplyTheSame() {
	if apart := s.differ(); apart != "" {
		s.fatalf("%s", apart)
	}
}

// nobodyDiffers checks that no copy was found to differ from another one, and that they were compared.
func (s *simulation) nobodyDiffers() {
	s.until(time.Minute, "all copies are compared", func() bool {
		leader := s.leads()
		if leader == nil {
			return false
		}
		want := leader.instance().witness.testify(math.MaxUint64)
		for _, a := range s.live() {
			if a.instance().witness.testify(want.chain.Index).chain != want.chain {
				return false
			}
		}
		return want.chain.Index > 0
	})
	for _, a := range s.cast {
		if text := a.logs.String(); strings.Contains(text, "copies of the farm's state differ") {
			s.fatalf("%s:\n%s", a.conf.Name, text)
		}
	}
}

// diskOf makes a machine's own name a role, and returns its disk in the words of a script.
func (s *simulation) diskOf(a *actor) string {
	s.names[a.conf.Name] = a
	return "the disk of " + a.conf.Name
}

// readers read through any node, after a barrier: what was acknowledged before it must be there.
func (s *simulation) readers() (stop func()) {
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for range 2 {
		rnd := rand.New(rand.NewPCG(s.rnd.Uint64(), 2))
		nodes := append([]*labNode(nil), s.nodes...)
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-s.t.Context().Done(): // the test has failed
					return
				case <-time.After(time.Duration(rnd.IntN(200)) * time.Millisecond):
				}
				if n := nodes[rnd.IntN(len(nodes))].live.Load(); n != nil {
					s.readThrough(n)
				}
			}
		})
	}
	return func() { close(ended); wg.Wait() }
}

func (s *simulation) readThrough(n *Node) {
	acked := s.model.last()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	h := n.Handle("kv")
	if h.Barrier(ctx) != nil {
		return
	}
	m := h.Local().(*kv)
	for key, i := range acked {
		if got := m.Get(key); !strings.Contains(","+got, fmt.Sprintf(",%d,", i)) {
			s.t.Errorf("%s: after a barrier %s reads %s = %s, %d was acknowledged before",
				time.Since(s.begun), n.cfg.Name, key, got, i)
		}
	}
}
