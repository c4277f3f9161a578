package once

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Every runs fn at each time of a schedule, on one node of those whose program registers that name. Each time
// is claimed by one entry in the log, so it is run once, whatever the clocks of the nodes say: the log's time
// decides. The claim is of the time itself; when its node ends in the middle, it is not run again, and the
// job's results say so.
//
// The schedule is replicated with the job. Where this program registers another one than nodes that run now,
// theirs counts: this node says so in its log, and takes part when they have ended. So in a rolling restart
// the new schedule begins when the last old node stops.
//
// Every returns at once. The error says what is wrong with the name or the schedule, that fn is nil, or that
// this program has registered that job already; or ErrClosed.
func (c *Client) Every(name string, s Schedule, fn JobFunc) error {
	p, err := s.parse()
	if err == nil && fn == nil {
		err = errNoFunc
	}
	if err != nil {
		return fmt.Errorf("once: job %q: %w", name, err)
	}
	return c.start(kindJob, name, func(w *work) {
		j := &job{work: w, parsed: p, fn: fn}
		j.loop()
	})
}

// job is a job as this program has registered it.
type job struct {
	*work
	parsed
	fn JobFunc

	o       *owner    // as which it is offered; nil: it is not
	differs bool      // others have registered it differently, and this was said
	begun   uint64    // fence of the last run that was begun here
	ready   time.Time // since when there is something to do now, by the log's time; zero: there is nothing

	mu      sync.Mutex
	failure string // how the last run here failed; "" = it did not
}

// claimStep is the head start of the node whose turn it is to run a job before the next one.
const claimStep = 100 * time.Millisecond

func (j *job) loop() {
	for j.c.ctx.Err() == nil {
		wait, err := j.step()
		if err != nil {
			wait = j.failed("a job cannot be claimed; trying again", err)
		}
		if !j.wait(wait) {
			return
		}
	}
}

// step does what is to be done now, and returns for how long that is all, unless there is news.
func (j *job) step() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(j.c.ctx, commandTimeout)
	defer cancel()
	if j.c.isRetired() {
		return longWait, j.withdraw(ctx)
	}
	if err := j.offer(ctx); err != nil {
		return 0, err
	}
	now, ok := j.c.cfg.Local().Job(j.name)
	if !ok {
		j.o = nil
		return 0, nil
	}
	j.begin(now)
	switch {
	case slices.Contains(now.Others, j.o.id):
		j.sayDiffers(now)
		return longWait, nil
	case !slices.Contains(now.Owners, j.o.id): // the state was replaced by an older one
		j.o = nil
		return 0, nil
	}
	j.differs = false
	return j.claim(ctx, now)
}

// offer has this node take part, if it does not.
func (j *job) offer(ctx context.Context) error {
	o, err := j.c.present(ctx)
	if err != nil || o == j.o {
		return err
	}
	a, err := j.c.doHere(ctx, state.Offer{Owner: o.id, Job: j.name, Spec: j.spec})
	switch {
	case err != nil:
		return err
	case a.Code == state.Gone:
		j.c.lost(o)
		return ErrLost
	case a.Code == state.Full:
		return ErrFull
	case a.Code != state.OK && a.Code != state.Differs:
		return unexpected(a)
	}
	j.o = o
	return nil
}

func (j *job) withdraw(ctx context.Context) error {
	if j.o == nil {
		return nil
	}
	if _, err := j.c.doHere(ctx, state.Withdraw{Owner: j.o.id, Job: j.name}); err != nil {
		return err
	}
	if now, ok := j.c.cfg.Local().Job(j.name); ok {
		j.begin(now) // what was given to this node before
	}
	j.o = nil
	return nil
}

func (j *job) sayDiffers(now state.Job) {
	if !j.differs {
		j.c.log.Warn("other nodes have registered a job differently, and theirs counts until they have ended",
			"job", j.name, "theirs", describe(now.Spec), "ours", describe(j.spec))
	}
	j.differs = true
}

// describe returns a spec for people.
func describe(s state.Spec) string {
	return fmt.Sprintf("%s (%s), jitter %v, overlap %v, missed %v, grace %v", s.Schedule, s.Zone,
		time.Duration(s.Jitter)*time.Millisecond, s.Overlap, s.Missed, time.Duration(s.Grace)*time.Millisecond)
}

// claim plans, starts or claims what is to be done now, when it is this node's turn.
func (j *job) claim(ctx context.Context, now state.Job) (time.Duration, error) {
	logNow := j.c.cfg.Local().Now()
	if now.Startable || now.Next == 0 {
		if j.ready.IsZero() {
			j.ready = logNow
		}
		var cmd state.Command = state.Start{Owner: j.o.id, Job: j.name}
		if !now.Startable {
			cmd = state.Plan{Owner: j.o.id, Job: j.name, Next: j.cron.Next(logNow).UnixMilli()}
		}
		return j.atTurn(ctx, now, logNow, j.ready, cmd)
	}
	j.ready = time.Time{}
	due := time.UnixMilli(now.Next).Add(j.late(now.Next))
	if heard := j.c.cfg.Local().Heard(); heard > askEvery || heard > trustFor && !j.c.cfg.Now().Before(due) {
		return j.atTurn(ctx, now, logNow, logNow.Add(trustFor-heard), state.Start{Owner: j.o.id, Job: j.name})
	}
	return j.atTurn(ctx, now, logNow, due, j.dueUntil(now, logNow))
}

// atTurn proposes cmd if this node's turn has come at logNow, and returns how long it is until then if not.
// The nodes have their turns one after the other, in another order for each time of a job.
func (j *job) atTurn(ctx context.Context, now state.Job, logNow, due time.Time, cmd state.Command) (
	time.Duration, error) {
	step := max(claimStep, 2*time.Duration(j.c.took.Load())) // in a slow farm not everybody is to claim
	turn := due.Add(time.Duration(rank(j.name, now.Next, now.Owners, j.o.id)) * step)
	if left := turn.Sub(logNow); left > 0 {
		return min(left, longWait), nil
	}
	return 0, j.propose(ctx, cmd)
}

// The log's time may jump forward, when another node comes to lead or the clocks of most nodes are set, and
// only a command tells. So a state.Start that finds nothing to start asks for it: now and then, and where a
// job is due by this node's own clock, which was most likely set as well.
const (
	askEvery = 10 * time.Minute
	trustFor = time.Minute // how long what was heard of it is relied on
)

// longWait is how long a job waits at most before it looks again at this node's copy, which may have been
// replaced.
const longWait = 15 * time.Second

// propose has a command carried out that may lose against another node's.
func (j *job) propose(ctx context.Context, cmd state.Command) error {
	asked := time.Now()
	a, err := j.c.doHere(ctx, cmd)
	if err != nil {
		return err
	}
	j.o.sure(asked)
	switch a.Code {
	case state.OK, state.Granted, state.Lost:
		return nil
	case state.Early: // by the log's time, which this node has learned just now
		sleep.For(ctx, claimStep/10)
		return nil
	case state.Gone: // the owner, or the job as it was
		if _, ok := j.c.cfg.Local().Owner(j.o.id); !ok {
			j.c.lost(j.o)
		}
		return nil
	}
	return unexpected(a)
}

// dueUntil returns the claim of all times up to logNow.
func (j *job) dueUntil(now state.Job, logNow time.Time) state.Command {
	c := state.Claim{Owner: j.o.id, Job: j.name, Expect: now.Next}
	ticks, more := j.cron.Last(time.UnixMilli(now.Next).Add(-1), logNow, state.MaxTicks)
	for _, t := range ticks {
		c.Ticks = append(c.Ticks, t.UnixMilli())
	}
	for n := len(c.Ticks); n > 1 && ticks[n-1].Add(j.late(c.Ticks[n-1])).After(logNow); n-- {
		c.Ticks = c.Ticks[:n-1] // it is due, and not to start yet
	}
	if len(c.Ticks) == 0 { // by another program's reckoning it is due all the same
		c.Ticks = []int64{now.Next}
	}
	if more {
		c.Left = 1 // or more: they are not counted
	}
	c.Next = j.cron.Next(time.UnixMilli(c.Ticks[len(c.Ticks)-1])).UnixMilli()
	return c
}

// late returns how much later than its time a tick starts: somewhat less than the jitter, and the same on all
// nodes.
func (j *job) late(tick int64) time.Duration {
	if j.spec.Jitter == 0 {
		return 0
	}
	return time.Duration(hash(j.name, tick, "")%uint64(j.spec.Jitter)) * time.Millisecond
}

// rank returns the place of an owner among those that offer a job, for one tick.
func rank(name string, tick int64, owners []string, me string) (before int) {
	mine := hash(name, tick, me)
	for _, o := range owners {
		if h := hash(name, tick, o); h < mine || h == mine && o < me {
			before++
		}
	}
	return before
}

func hash(name string, tick int64, owner string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d\x00%s", name, tick, owner)
	v := h.Sum64() // whose last bits hardly differ for names that do
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	return v ^ v>>33
}
