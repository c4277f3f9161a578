package state

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// TestModel holds the machine to a naive model of it, through random commands, and restarts it from snapshots.
// WEBFARM_SEED=n repeats one run; `make torture` has more of them.
func TestModel(t *testing.T) {
	first, runs := uint64(1), 15
	if ci.Torture() {
		runs = 5000
	}
	if s := os.Getenv("WEBFARM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, runs = seed, 1
	}
	total := map[Code]int{}
	for seed := first; seed < first+uint64(runs); seed++ {
		m := newModel(t, seed)
		for range 1000 {
			m.step()
		}
		for code, n := range m.answers {
			total[code] += n
		}
		if t.Failed() {
			t.Fatalf("WEBFARM_SEED=%d go test -run TestModel ./farm/once/internal/state", seed)
		}
	}
	for code := OK; code < codes; code++ {
		if total[code] == 0 && code != Full { // see TestLimits
			t.Errorf("nothing was answered by %v, of %v", code, total)
		}
	}
}

// model is what the machine should be, in lists that are searched from one end to the other.
type model struct {
	*rig
	t       *testing.T
	rnd     *rand.Rand
	answers map[Code]int

	owners  map[string]uint64 // with the suspicion
	tickets []modelTicket     // in the order of the log
	fences  map[string]uint64 // of those who hold a lock
	done    map[string]bool
	ended   map[string]bool
	fence   uint64
	jobs    map[string]*modelJob
}

type modelTicket struct {
	Acquire
	holds bool
}

type modelJob struct {
	spec       Spec
	offers     []Offer // the oldest first
	paused     bool
	next, last int64
	waits      []int64 // ticks; negative = manual
	runs       []Run
	claimed    map[int64]bool // ticks, ever
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, rig: newRig(t), rnd: rand.New(rand.NewPCG(seed, 1)), answers: map[Code]int{}, owners: map[string]uint64{},
		fences: map[string]uint64{}, done: map[string]bool{}, ended: map[string]bool{}, jobs: map[string]*modelJob{}}
}

func (m *model) step() {
	if m.rnd.IntN(3) == 0 {
		m.now = m.now.Add(time.Duration(m.rnd.IntN(30)) * time.Second)
	}
	c := m.any()
	before := snapshotOf(m.tb, m.Machine)
	want := m.expect(c)
	got := m.do(c)
	m.answers[got.Code]++
	if got.Code != want.Code || got.Fence != want.Fence || got.At != want.At || got.Manual != want.Manual {
		m.tb.Errorf("%d: %#v: %+v, want %+v", m.index, c, got, want)
	}
	after := snapshotOf(m.tb, m.Machine)
	if refused := got.Code != OK && got.Code != Granted && got.Code != Queued && got.Code != Differs; refused &&
		!bytes.Equal(timeless(m.t, before), timeless(m.t, after)) {
		m.tb.Errorf("%d: %#v: %v, and has changed something", m.index, c, got.Code)
	}
	if m.rnd.IntN(20) == 0 {
		m.Machine = restored(m.tb, after)
		if !bytes.Equal(snapshotOf(m.tb, m.Machine), after) {
			m.tb.Error("not the same after a round trip")
		}
	}
	m.compare()
}

func (m *model) pick(list ...string) string { return list[m.rnd.IntN(len(list))] }

// any returns a command, which makes sense more often than not.
func (m *model) any() Command {
	owner, job := m.pick("a", "b", "c", "d"), m.pick("j", "k")
	ticket, yes := uint64(m.rnd.IntN(12)), m.rnd.IntN(2) == 0
	now := m.now.UnixMilli()
	switch m.rnd.IntN(26) {
	case 0, 1:
		return Register{owner, "node " + owner}
	case 2:
		return Suspect{owner}
	case 3:
		return Refute{owner}
	case 4:
		return Expire{owner, m.owners[owner]}
	case 5:
		return End{m.pick(owner, "x")}
	case 6, 7, 8, 9:
		return Acquire{owner, ticket, m.pick("l", "once/m", "n"), byte(m.rnd.IntN(3)), m.rnd.IntN(4) > 0}
	case 10, 11, 12:
		return Release{owner, ticket, m.rnd.IntN(20) == 0}
	case 13, 14:
		return Offer{owner, job, Spec{m.pick("s", "s", "s", "t"), "UTC", 0, 20_000, Overlap(job[0] % 3), Missed(job[0] % 2 * 2)}}
	case 15:
		return Withdraw{owner, job}
	case 16:
		return Plan{owner, job, now + int64(m.rnd.IntN(20_000)) - 1000}
	case 17, 18, 19:
		return m.anyClaim(owner, job)
	case 20:
		return Start{owner, job}
	case 21, 22:
		if j := m.jobs[job]; j != nil && len(j.runs) > 0 {
			r := j.runs[m.rnd.IntN(len(j.runs))]
			return Finish{r.Owner, job, r.Fence, Outcome(m.rnd.IntN(2)), "why"}
		}
		return Finish{owner, job, 1, Failed, "why"}
	case 23:
		return Trigger{job}
	case 24:
		return Pause{job, yes}
	}
	return Forget{m.pick(job, "once/m"), yes}
}

func (m *model) anyClaim(owner, job string) Command {
	c := Claim{Owner: owner, Job: job, Expect: m.now.UnixMilli(), Left: uint64(m.rnd.IntN(2))}
	if j := m.jobs[job]; j != nil && j.next > 0 {
		c.Expect = j.next
	}
	t := c.Expect
	for range m.rnd.IntN(4) {
		c.Ticks = append(c.Ticks, t)
		t += int64(m.rnd.IntN(10_000))
	}
	c.Next = t + 1
	return c
}

func (m *model) nextFence() uint64 {
	m.fence = max(m.fence+1, uint64(m.now.UnixMicro()))
	return m.fence
}

// expect changes the model by a command, and returns the answer that the machine is to give.
func (m *model) expect(c Command) Answer {
	m.index++ // as do will
	defer func() { m.index-- }()
	switch c := c.(type) {
	case Register:
		if _, ok := m.owners[c.ID]; !ok {
			m.owners[c.ID] = 0
		}
		return Answer{Code: OK}
	case Suspect:
		if s, ok := m.owners[c.ID]; !ok {
			return Answer{Code: Gone}
		} else if s == 0 {
			m.owners[c.ID] = m.index
		}
		return Answer{Code: OK, Fence: m.owners[c.ID]}
	case Refute:
		if _, ok := m.owners[c.ID]; !ok {
			return Answer{Code: Gone}
		}
		m.owners[c.ID] = 0
		return Answer{Code: OK}
	case Expire:
		if s, ok := m.owners[c.ID]; !ok {
			return Answer{Code: Gone}
		} else if s == 0 || s != c.Suspicion {
			return Answer{Code: Lost}
		}
		return m.end(c.ID)
	case End:
		if _, ok := m.owners[c.ID]; !ok {
			return Answer{Code: Gone}
		}
		return m.end(c.ID)
	case Acquire:
		return m.acquire(c)
	case Release:
		return m.release(c)
	}
	return m.expectJob(c)
}

// holder returns the ticket that has a lock.
func (m *model) holder(name string) *modelTicket {
	for i := range m.tickets {
		if m.tickets[i].Name == name && m.tickets[i].holds {
			return &m.tickets[i]
		}
	}
	return nil
}

// hand gives each lock in a list that nobody has to who is next.
func (m *model) hand(names ...string) {
	for _, name := range names {
		if m.holder(name) != nil {
			continue
		}
		var next *modelTicket
		for i := range m.tickets {
			if k := &m.tickets[i]; k.Name == name && (next == nil || k.Rank < next.Rank) {
				next = k
			}
		}
		if next != nil {
			next.holds = true
			m.fences[name] = m.nextFence()
		}
	}
}

func (m *model) acquire(c Acquire) Answer {
	if _, ok := m.owners[c.Owner]; !ok {
		return Answer{Code: Gone}
	}
	i := slices.IndexFunc(m.tickets, func(k modelTicket) bool { return k.Owner == c.Owner && k.Ticket == c.Ticket })
	switch {
	case i >= 0 && m.tickets[i].holds:
		return Answer{Code: Granted, Fence: m.fences[m.tickets[i].Name]}
	case i >= 0:
		return Answer{Code: Queued}
	case m.done[c.Name]:
		return Answer{Code: Finished}
	case m.holder(c.Name) != nil && !c.Wait:
		return Answer{Code: Busy}
	}
	m.tickets = append(m.tickets, modelTicket{Acquire: c})
	if m.holder(c.Name) != nil {
		return Answer{Code: Queued}
	}
	m.hand(c.Name)
	return Answer{Code: Granted, Fence: m.fences[c.Name]}
}

func (m *model) release(c Release) Answer {
	i := slices.IndexFunc(m.tickets, func(k modelTicket) bool { return k.Owner == c.Owner && k.Ticket == c.Ticket })
	if i < 0 {
		return Answer{Code: Gone}
	}
	k := m.tickets[i]
	m.tickets = slices.Delete(m.tickets, i, i+1)
	if k.holds && c.Finished {
		m.done[k.Name] = true
		m.tickets = slices.DeleteFunc(m.tickets, func(other modelTicket) bool { return other.Name == k.Name })
	}
	m.hand(k.Name)
	return Answer{Code: OK}
}

// end ends an owner. Its locks are handed on in the order of its tickets.
func (m *model) end(id string) Answer {
	delete(m.owners, id)
	var held []modelTicket
	for _, k := range m.tickets {
		if k.Owner == id && k.holds {
			held = append(held, k)
		}
	}
	m.tickets = slices.DeleteFunc(m.tickets, func(k modelTicket) bool { return k.Owner == id })
	slices.SortFunc(held, func(a, b modelTicket) int { return int(a.Ticket) - int(b.Ticket) })
	for _, k := range held {
		m.hand(k.Name)
	}
	for _, j := range m.jobs {
		j.runs = slices.DeleteFunc(j.runs, func(r Run) bool { return r.Owner == id })
		j.withdraw(id, m.now.UnixMilli())
	}
	return Answer{Code: OK}
}

func (j *modelJob) withdraw(id string, now int64) {
	j.offers = slices.DeleteFunc(j.offers, func(o Offer) bool { return o.Owner == id })
	j.settle(now)
}

func (j *modelJob) settle(now int64) {
	if len(j.offers) > 0 && !slices.ContainsFunc(j.offers, func(o Offer) bool { return o.Spec == j.spec }) {
		j.spec = j.offers[0].Spec
		if j.next > now {
			j.next = 0
		}
	}
}

func (j *modelJob) start(m *model, owner string) Answer {
	if len(j.waits) == 0 || len(j.runs) > 0 && j.spec.Overlap != OverlapAllow {
		return Answer{Code: OK}
	}
	tick := j.waits[0]
	j.waits = j.waits[1:]
	a := Answer{Code: Granted, Fence: m.nextFence(), At: max(tick, -tick), Manual: tick < 0}
	j.runs = append(j.runs, Run{At: a.At, Manual: a.Manual, Fence: a.Fence, Owner: owner})
	return a
}

func (m *model) expectJob(c Command) Answer {
	now := m.now.UnixMilli()
	switch c := c.(type) {
	case Offer:
		if _, ok := m.owners[c.Owner]; !ok {
			return Answer{Code: Gone}
		}
		if m.jobs[c.Job] == nil {
			m.jobs[c.Job] = &modelJob{spec: c.Spec, claimed: map[int64]bool{}}
		}
		j := m.jobs[c.Job]
		j.offers = append(slices.DeleteFunc(j.offers, func(o Offer) bool { return o.Owner == c.Owner }), c)
		if j.settle(now); j.spec != c.Spec {
			return Answer{Code: Differs}
		}
		return Answer{Code: OK}
	case Trigger:
		j := m.jobs[c.Job]
		if j == nil || len(j.offers) == 0 {
			return Answer{Code: Gone}
		}
		j.waits = append(j.waits, -now)
		return Answer{Code: OK}
	case Pause:
		if m.jobs[c.Job] == nil {
			return Answer{Code: Gone}
		}
		m.jobs[c.Job].paused = c.Paused
		return Answer{Code: OK}
	case Forget:
		return m.forget(c)
	case Withdraw:
		j := m.jobs[c.Job]
		if _, ok := m.owners[c.Owner]; !ok || j == nil {
			return Answer{Code: Gone}
		}
		j.withdraw(c.Owner, now)
		return Answer{Code: OK}
	case Finish:
		j := m.jobs[c.Job]
		if j != nil {
			n := len(j.runs)
			j.runs = slices.DeleteFunc(j.runs, func(r Run) bool { return r.Owner == c.Owner && r.Fence == c.Fence })
			if len(j.runs) < n {
				return Answer{Code: OK}
			}
		}
		return Answer{Code: Gone}
	case Start:
		if j := m.offered(c.Owner, c.Job); j != nil {
			return j.start(m, c.Owner)
		}
	case Plan:
		j := m.offered(c.Owner, c.Job)
		if j != nil && (j.next != 0 || c.Next <= j.last) {
			return Answer{Code: Lost}
		} else if j != nil {
			j.next = c.Next
			return Answer{Code: OK}
		}
	case Claim:
		if j := m.offered(c.Owner, c.Job); j != nil {
			return m.claim(j, c)
		}
	}
	return Answer{Code: Gone}
}

func (m *model) forget(c Forget) Answer {
	if c.Done && !m.done[c.Name] || !c.Done && m.jobs[c.Name] == nil {
		return Answer{Code: Gone}
	}
	if j := m.jobs[c.Name]; !c.Done && len(j.offers)+len(j.runs) > 0 {
		return Answer{Code: Busy}
	}
	if c.Done {
		delete(m.done, c.Name)
	} else {
		delete(m.jobs, c.Name)
	}
	return Answer{Code: OK}
}

func (m *model) offered(owner, job string) *modelJob {
	if j := m.jobs[job]; j != nil {
		for _, o := range j.offers {
			if o.Owner == owner && o.Spec == j.spec {
				return j
			}
		}
	}
	return nil
}

func (m *model) claim(j *modelJob, c Claim) Answer {
	now := m.now.UnixMilli()
	if c.Expect == 0 || c.Expect != j.next {
		return Answer{Code: Lost}
	}
	for i, t := range c.Ticks {
		if i > 0 && t <= c.Ticks[i-1] {
			return Answer{Code: Malformed}
		}
	}
	if len(c.Ticks) == 0 {
		return Answer{Code: Malformed}
	}
	newest := c.Ticks[len(c.Ticks)-1]
	if newest > now {
		return Answer{Code: Early}
	}
	for _, t := range c.Ticks {
		if j.claimed[t] {
			m.tb.Errorf("%d: %d was claimed before", m.index, t)
		}
		j.claimed[t] = true
	}
	j.last, j.next = newest, c.Next
	ticks := c.Ticks
	if j.spec.Missed != MissedAll {
		ticks = ticks[len(ticks)-1:]
	}
	late := j.spec.Missed == MissedSkip && now-newest > j.spec.Grace+j.spec.Jitter
	overlap := j.spec.Overlap == OverlapSkip && len(j.waits)+len(j.runs) > 0
	if !j.paused && !late && !overlap {
		j.waits = append(j.waits, ticks...)
	}
	return j.start(m, c.Owner)
}

// compare holds all that can be seen of the machine to the model.
func (m *model) compare() {
	if got := m.Owners(); !slices.Equal(got, slices.Sorted(maps.Keys(m.owners))) {
		m.tb.Errorf("%d: owners %v, want %v", m.index, got, m.owners)
	}
	locks := m.Locks()
	for _, l := range locks {
		k := m.holder(l.Name)
		if k == nil || k.Owner != l.Owner || l.Fence != m.fences[l.Name] {
			m.tb.Errorf("%d: %+v, want %+v with %d", m.index, l, k, m.fences[l.Name])
		}
	}
	n, held := 0, 0
	for id, suspicion := range m.owners {
		o, _ := m.Owner(id)
		n += len(m.Tickets(id))
		if o.Suspicion != suspicion {
			m.tb.Errorf("%d: %+v is suspected by %d", m.index, o, suspicion)
		}
		if got, want := m.Stakes(id), m.stakes(id); got != want {
			m.tb.Errorf("%d: %s has stakes: %v", m.index, id, got)
		}
	}
	for _, k := range m.tickets {
		standing, fence := m.Ticket(k.Owner, k.Ticket)
		if k.holds {
			held++
		}
		if k.holds && (standing != Holding || fence != m.fences[k.Name]) || !k.holds && standing != Waiting {
			m.tb.Errorf("%d: %+v stands for %v with %d", m.index, k, standing, fence)
		}
	}
	if held != len(locks) || n != len(m.tickets) {
		m.tb.Errorf("%d: %d locks by %d tickets, want %d by %d", m.index, len(locks), n, held, len(m.tickets))
	}
	for name, want := range m.jobs {
		got, ok := m.Job(name)
		if !ok || got.Spec != want.spec || got.Next != want.next || got.Backlog != len(want.waits) || got.Paused != want.paused ||
			len(got.Owners)+len(got.Others) != len(want.offers) || fmt.Sprint(fencesOf(got.Runs)) != fmt.Sprint(fencesOf(want.runs)) {
			m.tb.Errorf("%d: %+v, want %+v", m.index, got, want)
		}
	}
	if len(m.Jobs()) != len(m.jobs) || !slices.Equal(m.Migrations(), slices.Sorted(maps.Keys(m.done))) {
		m.tb.Errorf("%d: jobs %v, migrations %v", m.index, m.Jobs(), m.Migrations())
	}
}

func (m *model) stakes(id string) bool {
	for _, j := range m.jobs {
		if slices.ContainsFunc(j.runs, func(r Run) bool { return r.Owner == id }) {
			return true
		}
	}
	return slices.ContainsFunc(m.tickets, func(k modelTicket) bool { return k.Owner == id })
}

func fencesOf(runs []Run) (fences []uint64) {
	for _, r := range runs {
		fences = append(fences, r.Fence)
	}
	return fences
}
