package once

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/internal/race"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// TestSimulation has five nodes lock, run singletons and be due every second, while they are cut off,
// stopped, killed, late, taken for dead, and drained, while answers are lost, leaders change, and the clocks of the
// nodes are set, and with them the log's time. No two leases of one name overlap, fences rise, each time is run at most once, and under
// MissedAll each is claimed. `make sim SEED=7 MINUTES=30 PKG=./farm/once` runs one seed for as long: 260
// minutes have 10^5 times and more.
// Slow: what it finds depends on how much it does.
func TestSimulation(t *testing.T) {
	seeds, length := []uint64{1, 2}, 4*time.Minute
	if race.Enabled {
		seeds, length = seeds[:1], time.Minute
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("WEBFARM_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if m := os.Getenv("WEBFARM_MINUTES"); m != "" {
		minutes, err := strconv.Atoi(m)
		if err != nil {
			t.Fatal(err)
		}
		length, seeds = time.Duration(minutes)*time.Minute, []uint64{cmp.Or(seed, rand.Uint64())}
	} else if seed != 0 {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			for _, fault := range simulate(t, seed, length, func(*Client) {}) {
				t.Error(fault)
			}
			if t.Failed() {
				t.Logf("repeat with: make sim SEED=%d MINUTES=%d PKG=./farm/once", seed, int(length.Minutes()))
			}
		})
	}
}

// A simulation has to find what it is there to find.
// Every second try finds the first of the two faults, so one search in 60,000 ends in vain.
// Slow: faults are put in on purpose, and each has to be found by some hours of fake time.
func TestSimulationFinds(t *testing.T) {
	if race.Enabled {
		t.Skip("what is looked for is no data race")
	}
	for name, spoil := range map[string]func(*Client){
		"a holder that is sure for longer than others wait": func(c *Client) { c.sureFor = 3 * Patience },
		"others that do not wait":                           func(c *Client) { c.patience = Patience / 30 },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(16) {
				if faults := simulate(t, seed, 2*time.Minute, spoil); len(faults) > 0 {
					t.Logf("found in seed %d: %v", seed, faults)
					return
				}
			}
			t.Error("it was not found")
		})
	}
}

func simulate(t *testing.T, seed uint64, length time.Duration, spoil func(*Client)) (faults []string) {
	bubble.Test(t, func(t *testing.T) {
		s := &simulation{lab: newLab(t, seed), history: history{began: time.Now()}, granted: map[simTick]int{}, ran: map[simTick]int{},
			claims: newSimClaims(), migrated: map[string]int{}}
		s.lab.tune, s.lab.watch = spoil, s.note
		for i := range 5 {
			s.begin(fmt.Sprintf("n%d", i+1))
		}
		for end := time.Now().Add(length); time.Now().Before(end); {
			time.Sleep(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
			s.disturb()
		}
		s.settle()
		faults = append(s.faults, s.check()...)
		faults = append(faults, s.ticks()...)
	})
	return faults
}

// simulation is the one who does things to the farm, and what came of them.
type simulation struct {
	*lab
	history
	wg sync.WaitGroup

	tally   sync.Mutex
	faults  []string
	up      []*simNode
	due     []simDue        // what is to be done later
	granted map[simTick]int // times whose run was granted, by the log
	claims  simClaims
	ran     map[simTick]int
	locks   int

	migrated map[string]int // how often a migration was carried out
}

type simTick struct {
	job string
	at  int64
}

type simDue struct {
	at   time.Time
	does func()
}

// simNode is a run of a node with its application.
type simNode struct {
	*labNode
	ctx  context.Context
	stop context.CancelFunc
}

// simJobs are due every second where they do not say otherwise.
var simJobs = map[string]Schedule{
	"all":    {Missed: MissedAll, Overlap: OverlapQueue},
	"all2":   {Missed: MissedAll, Overlap: OverlapQueue},
	"all3":   {Missed: MissedAll, Overlap: OverlapQueue},
	"beside": {Missed: MissedAll, Overlap: OverlapAllow},
	"minute": {Missed: MissedAll, Overlap: OverlapQueue, Cron: "* * * * *"},
	"last":   {Missed: MissedLast, Overlap: OverlapSkip},
	"skip":   {Missed: MissedSkip, Overlap: OverlapSkip, Grace: 5 * time.Second},
	"late":   {Missed: MissedSkip, Overlap: OverlapQueue, Jitter: 300 * time.Millisecond},
	"once":   {Missed: MissedLast, Overlap: OverlapQueue},
}

// begin starts a node, its jobs, its singleton, and some who lock.
func (s *simulation) begin(name string) {
	n := &simNode{labNode: s.start(name)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	s.up = append(s.up, n)
	for job, schedule := range simJobs {
		schedule.Cron, schedule.Zone = cmp.Or(schedule.Cron, "* * * * * *"), "UTC"
		if err := n.Every(job, schedule, func(ctx context.Context, t Tick) error { return s.runTick(n, ctx, t) }); err != nil {
			s.t.Error(err)
		}
	}
	err := n.Singleton("loop", func(ctx context.Context, fence uint64) error { return s.runLoop(n, ctx, fence) },
		Node{Role: "role of n1"}, Node{Role: "role of n2"})
	if err != nil {
		s.t.Error(err)
	}
	for i := range 3 {
		rng := rand.New(rand.NewPCG(uint64(len(s.nodes)), uint64(i)))
		s.wg.Go(func() {
			for n.ctx.Err() == nil {
				if rng.IntN(15) == 0 {
					s.migrate(n, rng)
				} else {
					s.lockOnce(n, rng)
				}
			}
		})
	}
}

// asleep waits as an application does: not while its process stands still. It reports false once that has
// ended.
func (n *simNode) asleep(d time.Duration) bool { return sleep.For(n.ctx, d) }

func (s *simulation) lockOnce(n *simNode, rng *rand.Rand) {
	name := fmt.Sprint("lock ", rng.IntN(3))
	ctx, cancel := context.WithTimeout(n.ctx, time.Duration(rng.IntN(20_000))*time.Millisecond)
	defer cancel()
	lock := n.Lock
	if rng.IntN(4) == 0 {
		lock = n.TryLock
	}
	asked := time.Now()
	l, err := lock(ctx, name)
	if err != nil {
		n.asleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		return
	}
	s.history.note(opGrant, name, l.Fence(), asked, time.Now())
	s.tally.Lock()
	s.locks++
	s.tally.Unlock()
	for range rng.IntN(20) {
		if n.ctx.Err() != nil || !s.holds(name, l.Fence(), l.Context().Err) {
			break
		}
		n.asleep(time.Duration(rng.IntN(400)) * time.Millisecond)
	}
	if n.ctx.Err() != nil && rng.IntN(2) == 0 {
		return // its process is gone
	}
	called := time.Now()
	if l.Unlock() == nil && n.ctx.Err() == nil {
		s.history.note(opUnlock, name, l.Fence(), called, time.Now())
	}
}

// migrate carries a migration out, which several nodes want at once.
func (s *simulation) migrate(n *simNode, rng *rand.Rand) {
	name := fmt.Sprint("migration ", time.Since(s.began)/(10*time.Second))
	succeeded := false
	err := n.Once(n.ctx, name, func(ctx context.Context, fence uint64) error {
		at := time.Now()
		if succeeded = false; ctx.Err() != nil {
			return ctx.Err()
		}
		s.history.note(opGrant, name, fence, at, at)
		s.work(n, ctx, name, fence, time.Duration(rng.IntN(2000))*time.Millisecond)
		if rng.IntN(4) == 0 || n.ctx.Err() != nil {
			return errors.New("told to")
		}
		succeeded = true
		return nil
	})
	s.tally.Lock()
	defer s.tally.Unlock()
	if err == nil && succeeded && n.ctx.Err() == nil {
		s.migrated[name]++
	}
}

// work does something for as long as a lease lasts, at most d.
func (s *simulation) work(n *simNode, ctx context.Context, name string, fence uint64, d time.Duration) {
	for end := time.Now().Add(d); n.ctx.Err() == nil && s.holds(name, fence, ctx.Err) && time.Now().Before(end); {
		n.asleep(min(d, 200*time.Millisecond))
	}
}

func (s *simulation) runLoop(n *simNode, ctx context.Context, fence uint64) error {
	at := time.Now()
	if ctx.Err() != nil || n.ctx.Err() != nil {
		return nil
	}
	s.history.note(opGrant, "loop", fence, at, at)
	switch fence % 7 {
	case 0:
		return errors.New("told to")
	case 1:
		s.work(n, ctx, "loop", fence, 3*time.Second)
		panic("told to")
	case 2:
		runtime.Goexit()
	}
	s.work(n, ctx, "loop", fence, time.Hour)
	return nil
}

func (s *simulation) runTick(n *simNode, ctx context.Context, t Tick) error {
	at := time.Now()
	if ctx.Err() != nil || n.ctx.Err() != nil {
		return nil
	}
	if !t.Manual {
		s.tally.Lock()
		s.ran[simTick{t.Job, t.Time.UnixMilli()}]++
		s.tally.Unlock()
	}
	if t.Job == "beside" {
		return nil
	}
	s.history.note(opGrant, "job "+t.Job, t.Fence, at, at)
	switch h := hash(t.Job, int64(t.Fence), ""); h % 40 {
	case 0:
		s.work(n, ctx, "job "+t.Job, t.Fence, time.Duration(h%5000)*time.Millisecond)
		return errors.New("told to")
	case 1:
		panic("told to")
	case 2:
		runtime.Goexit()
	case 3, 4, 5:
		s.work(n, ctx, "job "+t.Job, t.Fence, time.Duration(h%1000)*time.Millisecond)
	}
	return nil
}

// note takes down which times are claimed by the log, and which runs are granted: of claims and starts.
func (s *simulation) note(cmd []byte, a state.Answer) {
	s.claims.note(cmd, a)
	if a.Code != state.Granted || a.At == 0 || a.Manual {
		return
	}
	_, job, _ := ownerAndJob(cmd)
	s.tally.Lock()
	defer s.tally.Unlock()
	s.granted[simTick{job, a.At}]++
}

// disturb does something to the farm, or takes it back.
func (s *simulation) disturb() {
	i := s.rng.IntN(len(s.up))
	n := s.up[i]
	switch s.rng.IntN(26) {
	case 0, 1, 2: // cut off, or standing still
		s.cut(n.labNode)
	case 3:
		s.change(func() { n.late = true })
	case 4, 5:
		s.change(func() { n.lossy = true })
	case 6, 7, 8, 9, 10:
		s.heal(n.labNode)
	case 11, 12:
		n.stop()
		if s.rng.IntN(3) == 0 {
			s.crash(n.labNode)
		} else {
			s.kill(n.labNode)
		}
		s.wg.Go(func() { // so that a long run is not one of clients that are gone
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			n.Close(ctx)
		})
		s.up = append(s.up[:i:i], s.up[i+1:]...)
		s.later(time.Duration(s.rng.IntN(20_000))*time.Millisecond, func() { s.begin(n.name) })
	case 13, 14:
		s.change(func() { s.leaderless = true })
		time.Sleep(time.Duration(s.rng.IntN(5000)) * time.Millisecond)
		s.change(func() { s.leaderless = false })
	case 15, 24, 25:
		s.jump(n.labNode)
	case 16:
		s.change(func() { s.clock.lead(s.entries[len(s.entries)-1].now) }) // another one leads
	case 17:
		n.Retire()
	case 18, 19:
		n.Resume()
	case 20:
		s.change(func() { s.deaf[n.run] = !s.deaf[n.run] })
	case 21:
		s.change(func() {
			if !n.cut && !n.late {
				s.replaceLocked(n.labNode)
			}
		})
	case 22:
		n.Run(s.context(time.Second), "all")
	case 23:
		n.Pause(s.context(time.Second), "skip", s.rng.IntN(2) == 0)
	}
	if len(s.up) < 2 {
		time.Sleep(20 * time.Second)
	}
	s.catchUp()
}

// jump sets the clock of day of a node, or now and then those of all, by seconds, minutes or hours before or
// after the log's time. So the clocks of most are ahead of that again and again, and it jumps.
func (s *simulation) jump(n *labNode) {
	most := []time.Duration{20 * time.Second, 10 * time.Minute, 3 * time.Hour}[s.rng.IntN(3)]
	to := s.truth.Now().Add(time.Duration(s.rng.Int64N(int64(2*most))) - most)
	by := time.Until(to)
	s.setClocks(by, n)
	if s.rng.IntN(3) == 0 {
		for _, n := range s.up {
			s.setClocks(by, n.labNode)
		}
	}
}

// later does something when its time has come, by catchUp.
func (s *simulation) later(d time.Duration, f func()) {
	s.due = append(s.due, simDue{time.Now().Add(d), f})
}

func (s *simulation) catchUp() {
	for i := 0; i < len(s.due); i++ {
		if d := s.due[i]; !time.Now().Before(d.at) {
			s.due = append(s.due[:i:i], s.due[i+1:]...)
			d.does()
			i = -1
		}
	}
}

// settle heals everything, and lets all that is missed be run.
func (s *simulation) settle() {
	for range 30 {
		s.change(func() { s.leaderless = false; clear(s.deaf) })
		for _, n := range s.up {
			s.heal(n.labNode)
			n.Resume()
		}
		time.Sleep(time.Second)
		s.catchUp()
	}
	drained := func() bool {
		return !slices.ContainsFunc(s.up[0].Jobs(), func(j Job) bool { return j.Waiting > 2 })
	}
	for end := time.Now().Add(time.Hour); !drained() && time.Now().Before(end); { // after a jump of the log's time
		time.Sleep(time.Second)
	}
	time.Sleep(time.Minute)
	first := s.up[0].Jobs()
	for _, n := range s.up[1:] {
		if jobs := n.Jobs(); !reflect.DeepEqual(jobs, first) {
			s.faults = append(s.faults, fmt.Sprintf("%s knows of other jobs: %+v and %+v", n.run, jobs, first))
		}
	}
	for _, j := range first {
		if late := s.truth.Now().Sub(j.Next); late > 2*time.Second || j.Waiting > 10 || len(j.Nodes) != 5 {
			s.faults = append(s.faults, fmt.Sprintf("%v late: %+v", late, j))
		}
	}
	for _, n := range s.up {
		n.stop()
	}
	s.wg.Wait()
	s.close()
	for _, j := range s.truth.Jobs() {
		s.faults = append(s.faults, s.claims.check(jobOf(s.truth, j))...)
	}
}

// ticks returns what is wrong with the times that were run.
func (s *simulation) ticks() (faults []string) {
	s.tally.Lock()
	defer s.tally.Unlock()
	jobs := map[string]bool{}
	for tick, n := range s.granted {
		if n != 1 {
			faults = append(faults, fmt.Sprintf("%v was granted %d times", tick, n))
		}
		jobs[tick.job] = true
	}
	for tick, n := range s.ran {
		if n != 1 || s.granted[tick] != 1 {
			faults = append(faults, fmt.Sprintf("%v was run %d times, and granted %d times", tick, n, s.granted[tick]))
		}
	}
	for name, n := range s.migrated {
		if n != 1 {
			faults = append(faults, fmt.Sprintf("%s was carried out %d times", name, n))
		}
	}
	if len(faults) > 10 {
		faults = faults[:10]
	}
	s.t.Logf("%d times granted, %d run; %d locks, %d migrations, %d entries, %d barriers, %d observations; "+
		"the log's time jumped %d times by more than a second, by %v in all", len(s.granted), len(s.ran), s.locks,
		len(s.migrated), len(s.entries), s.barriers, len(s.ops), s.clock.jumps, s.clock.jumped.Round(time.Second))
	if len(s.ran) < len(s.granted)*3/4 || s.locks < 50 || len(s.migrated) < 3 || len(jobs) != len(simJobs) {
		faults = append(faults, "too little was done")
	}
	return faults
}
