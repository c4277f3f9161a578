package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// said is what a command was answered with, in short.
func said(a Answer, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case a.Code == Granted && a.At > 0:
		return fmt.Sprintf("Granted %v", time.UnixMilli(a.At).Sub(epoch))
	}
	return a.Code.String()
}

// Each line of a story is a command, or a pause, and what it is answered with.
func TestCommands(t *testing.T) {
	type line struct {
		does any
		want string
	}
	claim := func(owner string, expect time.Duration, next time.Duration, ticks ...time.Duration) Claim {
		c := Claim{Owner: owner, Job: "j", Expect: at(expect), Next: at(next)}
		for _, d := range ticks {
			c.Ticks = append(c.Ticks, at(d))
		}
		return c
	}
	const m = time.Minute
	spec := func(o Overlap, missed Missed) Spec { return Spec{"s", "UTC", 1000, 60_000, o, missed} }
	owners := []line{{Register{"a", "A"}, "OK"}, {Register{"b", "B"}, "OK"}}
	job := func(s Spec) []line {
		return append(slices.Clone(owners), line{Offer{"a", "j", s}, "OK"}, line{Offer{"b", "j", s}, "OK"},
			line{Plan{"a", "j", at(m)}, "OK"})
	}
	for name, story := range map[string][]line{
		"an owner that is not there": {{Suspect{"x"}, "Gone"}, {Refute{"x"}, "Gone"}, {Expire{"x", 1}, "Gone"},
			{End{"x"}, "Gone"}, {Acquire{"x", 1, "l", 0, true}, "Gone"}, {Release{"x", 1, false}, "Gone"},
			{Offer{"x", "j", minutely}, "Gone"}, {Withdraw{"x", "j"}, "Gone"}, {Plan{"x", "j", at(m)}, "Gone"},
			{claim("x", m, 2*m, m), "Gone"}, {Start{"x", "j"}, "Gone"}, {Finish{"x", "j", 1, Failed, ""}, "Gone"}},
		"expiry": append(slices.Clone(owners), line{Suspect{"a"}, "OK"}, line{Expire{"a", 2}, "Lost"}, line{Expire{"b", 3}, "Lost"},
			line{Suspect{"a"}, "OK"}, line{Refute{"a"}, "OK"}, line{Expire{"a", 3}, "Lost"}, line{Suspect{"a"}, "OK"},
			line{Expire{"a", 3}, "Lost"}, line{Expire{"a", 9}, "OK"}, line{Refute{"a"}, "Gone"}, line{End{"b"}, "OK"}),
		"a lock": append(slices.Clone(owners), line{Acquire{"a", 1, "l", 0, true}, "Granted"}, line{Acquire{"a", 1, "l", 0, true}, "Granted"},
			line{Acquire{"b", 1, "l", 0, false}, "Busy"}, line{Acquire{"b", 1, "l", 0, true}, "Queued"},
			line{Acquire{"b", 1, "other", 0, true}, "Queued"}, line{Acquire{"a", 2, "l", 0, false}, "Busy"},
			line{Release{"a", 1, false}, "OK"}, line{Release{"a", 1, false}, "Gone"}, line{Acquire{"b", 1, "l", 0, true}, "Granted"},
			line{Release{"b", 1, false}, "OK"}, line{Acquire{"a", 3, "l", 0, false}, "Granted"}),
		"a migration": append(slices.Clone(owners), line{Acquire{"a", 1, "m", 0, true}, "Granted"}, line{Acquire{"b", 1, "m", 0, true}, "Queued"},
			line{Release{"b", 1, true}, "OK"}, line{Acquire{"b", 2, "m", 0, true}, "Queued"}, line{Release{"a", 1, true}, "OK"},
			line{Release{"b", 2, false}, "Gone"}, line{Acquire{"b", 3, "m", 0, true}, "Finished"}, line{Forget{"m", false}, "Gone"},
			line{Forget{"m", true}, "OK"}, line{Forget{"m", true}, "Gone"}, line{Acquire{"b", 4, "m", 0, true}, "Granted"}),
		"offers": append(slices.Clone(owners), line{Offer{"a", "j", minutely}, "OK"}, line{Offer{"b", "j", hourly}, "Differs"},
			line{Plan{"b", "j", at(m)}, "Gone"}, line{Plan{"a", "j", at(m)}, "OK"}, line{Plan{"a", "j", at(2 * m)}, "Lost"},
			line{Withdraw{"a", "j"}, "OK"}, line{Plan{"a", "j", at(m)}, "Gone"}, line{Plan{"b", "j", at(time.Hour)}, "OK"},
			line{Offer{"a", "j", minutely}, "Differs"}, line{Forget{"j", false}, "Busy"}, line{End{"b"}, "OK"},
			line{Offer{"a", "j", minutely}, "OK"}, line{Withdraw{"a", "j"}, "OK"}, line{Trigger{"j"}, "Gone"}, line{Pause{"j", true}, "OK"},
			line{Forget{"j", false}, "OK"}, line{Forget{"j", false}, "Gone"}, line{Pause{"j", true}, "Gone"}),
		"a claim": append(job(spec(OverlapQueue, MissedAll)), line{claim("a", m, 2*m, m), "Early"}, line{m, ""},
			line{claim("a", 2*m, 3*m, 2*m), "Lost"}, line{claim("a", m, 2*m), "Malformed"}, line{claim("a", m, m, m), "Malformed"},
			line{claim("a", m, 2*m, m/2, m), "Malformed"}, line{claim("a", m, 2*m, m, m), "Malformed"},
			line{claim("a", m, 2*m, m), "Granted 1m0s"}, line{claim("b", m, 2*m, m), "Lost"}, line{Start{"b", "j"}, "OK"}, line{m, ""},
			line{claim("b", 2*m, 3*m, 2*m), "OK"}, line{Start{"b", "j"}, "OK"}, line{End{"a"}, "OK"}, line{Start{"b", "j"}, "Granted 2m0s"}),
		"all that were missed": append(job(spec(OverlapQueue, MissedAll)), line{time.Hour, ""},
			line{claim("a", m, 61*m, 58*m, 59*m, 60*m), "Granted 58m0s"}, line{Finish{"a", "j", 0, Succeeded, ""}, "Gone"}),
		"the last that was missed": append(job(spec(OverlapQueue, MissedLast)), line{time.Hour, ""},
			line{claim("a", m, 61*m, 58*m, 59*m, 60*m), "Granted 1h0m0s"}, line{Start{"b", "j"}, "OK"}),
		"none that were missed": append(job(spec(OverlapQueue, MissedSkip)), line{time.Hour + time.Second, ""},
			line{claim("a", m, 61*m, m, 59*m-1001), "OK"}),
		"one that is not too late, after its jitter": append(job(spec(OverlapQueue, MissedSkip)), line{time.Hour + time.Second, ""},
			line{claim("a", m, 61*m, m, 59*m), "Granted 59m0s"}),
		"overlap: skip": append(job(spec(OverlapSkip, MissedLast)), line{m, ""}, line{claim("a", m, 2*m, m), "Granted 1m0s"}, line{m, ""},
			line{claim("b", 2*m, 3*m, 2*m), "OK"}, line{End{"a"}, "OK"}, line{Start{"b", "j"}, "OK"}),
		"overlap: allow": append(job(spec(OverlapAllow, MissedLast)), line{m, ""}, line{claim("a", m, 2*m, m), "Granted 1m0s"}, line{m, ""},
			line{claim("a", 2*m, 3*m, 2*m), "Granted 2m0s"}),
		"paused": append(job(spec(OverlapAllow, MissedAll)), line{Pause{"j", true}, "OK"}, line{m, ""}, line{claim("a", m, 2*m, m), "OK"},
			line{Trigger{"j"}, "OK"}, line{Start{"b", "j"}, "Granted 1m0s"}, line{Pause{"j", false}, "OK"}, line{m, ""},
			line{claim("a", 2*m, 3*m, 2*m), "Granted 2m0s"}),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i, l := range story {
				switch does := l.does.(type) {
				case time.Duration:
					r.now = r.now.Add(does)
				case Command:
					if got := said(r.do(does), nil); got != l.want {
						t.Errorf("line %d: %#v: %s, want %s", i, does, got, l.want)
					}
				}
				restored(t, snapshotOf(t, r.Machine))
			}
		})
	}
}

// A fence is the log's time, and more than each one before, whatever that does.
func TestFence(t *testing.T) {
	r := newRig(t)
	r.all(Register{"a", "A"})
	take := func(n uint64) uint64 {
		a := r.do(Acquire{"a", n, "l", 0, false})
		r.all(Release{"a", n, false})
		return a.Fence
	}
	first := take(1)
	if first != uint64(epoch.UnixMicro()) {
		t.Errorf("%d", first)
	}
	if f := take(2); f != first+1 {
		t.Errorf("%d in the same moment as %d", f, first)
	}
	r.now = epoch.Add(-time.Hour)
	if f := take(3); f != first+2 {
		t.Errorf("%d an hour before %d", f, first)
	}
	r.now = epoch.Add(time.Hour)
	if f := take(4); f != uint64(r.now.UnixMicro()) {
		t.Errorf("%d", f)
	}
}

// The least rank comes first, and of one rank who was first.
func TestRanks(t *testing.T) {
	r := newRig(t)
	r.all(Register{"a", "A"}, Acquire{"a", 1, "l", 5, true})
	for n, rank := range []byte{2, 1, 255, 1, 0, 2} {
		r.all(Acquire{"a", uint64(n + 2), "l", rank, true})
	}
	var order []uint64
	for n := uint64(1); n != 0; {
		order = append(order, n)
		r.all(Release{"a", n, false})
		n = 0
		for k, standing := range r.Tickets("a") {
			if standing == Holding {
				n = k
			}
		}
	}
	if want := []uint64{1, 6, 3, 5, 2, 7, 4}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

// The end of an owner ends all it has, and hands each lock to whoever is next and is not that owner.
func TestEndOfAnOwner(t *testing.T) {
	r := full(t)
	r.all(Acquire{"a#1", 3, "lock/x", 0, true}, End{"a#1"})
	if _, ok := r.Owner("a#1"); ok || len(r.Tickets("a#1")) > 0 {
		t.Error("it is there")
	}
	if standing, _ := r.Ticket("c#1", 7); standing != Holding {
		t.Errorf("who is next: %v", standing)
	}
	if standing, _ := r.Ticket("b#1", 1); standing != Waiting {
		t.Errorf("who is after that: %v", standing)
	}
	j, _ := r.Job("j")
	if last := j.Results[len(j.Results)-1]; len(j.Runs) > 0 || last.Outcome != Abandoned || last.Node != "a" || !j.Startable {
		t.Errorf("%+v", j)
	}
	for _, want := range []Event{{Owner: "a#1"}, {Owner: "c#1", Ticket: 7}, {Job: "j"}} {
		if !slices.Contains(r.events, want) {
			t.Errorf("nobody was told of %+v, but of %v", want, r.events)
		}
	}
	for _, id := range []string{"c#1", "b#1"} {
		r.all(End{id})
	}
	if locks := r.Locks(); len(locks) > 0 || len(r.Owners()) > 0 {
		t.Errorf("%v and %v are left", locks, r.Owners())
	}
	if j, ok := r.Job("j"); !ok || j.Next != at(4*time.Minute) || j.Backlog == 0 || len(j.Owners) > 0 {
		t.Errorf("what is to be done does not outlast its nodes: %+v", j)
	}
}

// What there is too much of is refused, and nothing else is hindered by that.
func TestLimits(t *testing.T) {
	r := newRig(t)
	r.all(Register{"a", "A"}, Acquire{"a", 0, "l", 0, true})
	for n := uint64(1); n < MaxTickets; n++ {
		r.all(Acquire{"a", n, "l", 0, true})
	}
	if a := r.do(Acquire{"a", MaxTickets, "l2", 0, true}); a.Code != Full {
		t.Errorf("one ticket too many: %v", a.Code)
	}
	r.all(Release{"a", 0, false}, Acquire{"a", MaxTickets, "l2", 0, true})
	for n := 1; n < MaxOwners; n++ {
		r.all(Register{fmt.Sprint("o", n), ""})
	}
	if a := r.do(Register{"one more", ""}); a.Code != Full {
		t.Errorf("one owner too many: %v", a.Code)
	}

	job := minutely
	job.Overlap = OverlapAllow
	r.all(Offer{"a", "j", job})
	for range MaxBacklog {
		r.all(Trigger{"j"})
	}
	if a := r.do(Trigger{"j"}); a.Code != Full {
		t.Errorf("one that waits too many: %v", a.Code)
	}
	for range MaxRuns {
		r.all(Start{"a", "j"})
	}
	r.all(Trigger{"j"})
	if a := r.do(Start{"a", "j"}); a.Code != OK {
		t.Errorf("one run too many: %v", a.Code)
	}
	j, _ := r.Job("j")
	for _, run := range j.Runs {
		r.all(Finish{"a", "j", run.Fence, Succeeded, strings.Repeat("x", 2*MaxText)})
	}
	if j, _ = r.Job("j"); len(j.Results) != MaxResults || len(j.Results[0].Error) != MaxText || !j.Startable {
		t.Errorf("%d results", len(j.Results))
	}
	ticks := make([]int64, MaxTicks+1)
	for i := range ticks {
		ticks[i] = at(time.Duration(i+1) * time.Second)
	}
	r.now = epoch.Add(time.Hour)
	r.all(Plan{"a", "j", r.now.UnixMilli() + 1})
	if a := r.do(Claim{"a", "j", ticks[0], ticks, 0, at(time.Hour)}); a.Code != Malformed {
		t.Errorf("one tick too many: %v", a.Code)
	}
	for _, c := range []Command{Register{strings.Repeat("x", MaxName+1), ""}, Register{"", ""},
		Acquire{"a", 1, "", 0, true}, Trigger{strings.Repeat("x", MaxName+1)}} {
		if a := r.do(c); a.Code != Malformed {
			t.Errorf("%#v: %v", c, a.Code)
		}
	}
	restored(t, snapshotOf(t, r.Machine))
}

// A command that this program does not know ends it, and changes nothing: it is of a newer program.
func TestUnknownCommand(t *testing.T) {
	r := full(t)
	before := snapshotOf(t, r.Machine)
	defer func() {
		err, _ := recover().(error)
		var unknown fault.UnknownCommandError
		if !errors.As(err, &unknown) || unknown.Index != 99 || !errors.Is(err, fault.ErrVersion) ||
			err.Error() == "" || string(snapshotOf(t, r.Machine)) != string(before) {
			t.Errorf("%v", err)
		}
	}()
	r.Apply(99, epoch.Add(time.Hour), []byte{opForget + 1})
}

// Names are for people.
func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		OK.String(): "OK", Malformed.String(): "Malformed", Code(99).String(): "Code(99)", OverlapQueue.String(): "queue",
		MissedAll.String(): "all", Abandoned.String(): "abandoned", Outcome(9).String(): "unknown",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
