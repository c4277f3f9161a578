package retry

import (
	"slices"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// The rules as they are written down, each on its own: what it is about, and what it forbids there. They are
// the other reading of the text that Decide is compared with, so nothing here calls the code. Their numbers
// are those of "Retries" in DESIGN.md of package forward; rule 10 is in without.
var rules = []struct {
	name    string
	about   func(Case) bool
	forbids func(Case) bool
}{
	{"R9 what the client has seen is never done again", always, func(c Case) bool {
		return c.State == attempt.Committed
	}},
	{"R1 what was not started moves whole", notStarted, func(c Case) bool { return c.Body == Parted }},
	{"R2 what may have been started is done again whole", mayHaveStarted, func(c Case) bool {
		return c.Body == Parted
	}},
	{"R2 and only if that is safe", mayHaveStarted, func(c Case) bool { return !safe(c) }},
	{"R4 what a handler answers is final", answered, func(c Case) bool { return c.End != Replied || !retryOn(c) }},
	{"R4 unless its route says otherwise, and it is safe", answered, func(c Case) bool {
		return !safe(c) || c.Body == Parted
	}},
	{"R5 an own handler's failure stays here", ownStarted, func(c Case) bool { return !c.Route.Failover }},
	{"R8 no third node for what has brought one down", mayHaveStarted, func(c Case) bool {
		return c.Suspect
	}},
	{"R6 three attempts", always, func(c Case) bool { return c.Attempts >= 3 }},
	{"R6 each at another peer", always, func(c Case) bool { return !c.Others }},
	{"R2 one repetition of what may have been started", mayHaveStarted, func(c Case) bool {
		return c.Repeats >= 1
	}},
	{"R6 the deadline covers everything", always, func(c Case) bool { return c.End == Late }},
	{"R1 the first move is free", notStarted, func(c Case) bool { return c.Moves > 0 && !c.Credit }},
	{"R7 repetitions pay", func(c Case) bool { return !notStarted(c) }, func(c Case) bool { return !c.Credit }},
	{"R11 nothing is done for who has gone", always, func(c Case) bool { return c.End == Gone }},
	{"R9 upgrades move only", func(c Case) bool { return !notStarted(c) }, func(c Case) bool {
		return c.Upgrade
	}},
	{"R3 what has proposed a write is not done again", always, func(c Case) bool { return c.Wrote }},
}

func always(Case) bool           { return true }
func notStarted(c Case) bool     { return c.State == attempt.NotSent || c.State == attempt.Refused }
func mayHaveStarted(c Case) bool { return c.State == attempt.Sent || c.State == attempt.Started }
func answered(c Case) bool       { return c.State == attempt.Answered }
func ownStarted(c Case) bool     { return c.Own && c.State == attempt.Started }
func retryOn(c Case) bool        { return slices.Contains(c.Route.RetryOn, c.Status) }

func safe(c Case) bool {
	byMethod := map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true}[c.Method]
	return byMethod || c.Route.Idempotent
}

// oracle returns what the rules say, and which of them forbid a retry.
func oracle(c Case) (want Verdict, forbidden []int) {
	for i, r := range rules {
		if r.about(c) && r.forbids(c) {
			forbidden = append(forbidden, i)
		}
	}
	if len(forbidden) == 0 {
		if notStarted(c) {
			return Verdict{Do: Retry, Pays: c.Moves != 0}, nil
		}
		return Verdict{Do: Retry, Pays: true, Pause: true}, nil
	}
	return without(c), forbidden
}

// without returns what the rules say where there is no retry.
func without(c Case) Verdict {
	if c.End == Gone {
		return Verdict{Do: Cancel}
	}
	if c.State == attempt.Committed {
		return Verdict{Do: Abort}
	}
	if c.End == Slow { // an attempt that cannot be replaced is better than none
		return Verdict{Do: Wait}
	}
	if c.End == Replied && !(c.Kept && retryOn(c)) || c.Own && c.End == Failed {
		return Verdict{Do: Deliver}
	}
	if c.Kept { // R4: the original response
		return Verdict{Do: DeliverKept}
	}
	if c.End == Late {
		return Verdict{Do: Fail, Status: 504}
	}
	if certainlyNotDone := notStarted(c) && !c.Unknown && !c.Wrote; !certainlyNotDone {
		return Verdict{Do: Fail, Status: 502}
	}
	if c.End == Loop {
		return Verdict{Do: Fail, Status: 508}
	}
	return Verdict{Do: Fail, Status: 503}
}

// ends are the ways in which attempts end.
var ends = slices.Concat(
	endsOf(attempt.NotSent, Lost, Slow, Late, Gone),
	endsOf(attempt.Sent, Lost, Slow, Late, Gone),
	endsOf(attempt.Refused, Denied, Loop, Late, Gone),
	endsOf(attempt.Started, Lost, Failed, Slow, Late, Gone),
	endsOf(attempt.Answered, Lost, Failed, Late, Gone),
	endsOf(attempt.Committed, Lost, Failed, Late, Gone),
	replies(200, 404, 500, 502, 503, 504),
	[]Case{{State: attempt.Refused, End: Denied, Own: true}, {State: attempt.Started, End: Failed, Own: true}},
)

func endsOf(s attempt.State, ends ...End) (cases []Case) {
	for _, e := range ends {
		cases = append(cases, Case{State: s, End: e})
	}
	return cases
}

func replies(statuses ...int) (cases []Case) {
	for _, status := range statuses {
		cases = append(cases, Case{State: attempt.Answered, End: Replied, Status: status})
	}
	return cases
}

var methods = []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "PURGE"}

var routes = []Route{
	{}, {Idempotent: true}, {Failover: true}, {RetryOn: []int{502, 503, 504}},
	{Idempotent: true, Failover: true, RetryOn: []int{503}},
}

// product is how many cases there are.
var product = len(ends) * len(methods) * 3 * len(routes) * MaxAttempts * 1 << 9

// caseOf returns case number i of the product.
func caseOf(i int) Case {
	next := func(n int) int {
		d := i % n
		i /= n
		return d
	}
	yes := func() bool { return next(2) == 1 }
	c := ends[next(len(ends))]
	c.Method = methods[next(len(methods))]
	c.Body = Body(next(3))
	c.Route = routes[next(len(routes))]
	c.Attempts = 1 + next(MaxAttempts)
	c.Moves, c.Repeats = next(2), next(2)
	c.Upgrade, c.Wrote, c.Unknown = yes(), yes(), yes()
	c.Kept, c.Others, c.Credit, c.Suspect = yes(), yes(), yes(), yes()
	return c
}

// TestDecide compares Decide with the rules, over all that there can be; every thirteenth case, and all by
// make torture.
func TestDecide(t *testing.T) {
	step := 13 // no divisor of the product, nor are the others: all values meet each other
	switch {
	case race.Enabled:
		step = 101
	case ci.Torture():
		step = 1
	}
	decisive := make([]int, len(rules))
	verdicts := make(map[Verdict]int)
	for i := 0; i < product; i += step {
		c := caseOf(i)
		want, forbidden := oracle(c)
		got := Decide(c)
		if got != want {
			t.Fatalf("%+v:\n is %+v\nnot %+v, forbidden by %v", c, got, want, forbidden)
		}
		verdicts[got]++
		if len(forbidden) == 1 {
			decisive[forbidden[0]]++
		}
	}
	for i, n := range decisive {
		if n == 0 {
			t.Errorf("no case depends on %q alone", rules[i].name)
		}
	}
	if len(verdicts) != 12 {
		t.Errorf("%d different verdicts: %v", len(verdicts), verdicts)
	}
}

// TestPromises states what matters most without the rules: what may never happen, whatever else is true.
func TestPromises(t *testing.T) {
	step := 17
	if race.Enabled {
		step = 103
	}
	for i := 0; i < product; i += step {
		c := caseOf(i)
		v := Decide(c)
		retried := v.Do == Retry
		switch {
		case retried && c.Method == "POST" && mayHaveStarted(c) && !c.Route.Idempotent:
			t.Fatalf("a POST may be done twice: %+v", c)
		case retried && c.Wrote:
			t.Fatalf("a write may be done twice: %+v", c)
		case retried && c.State == attempt.Committed:
			t.Fatalf("two answers: %+v", c)
		case v.Do == Fail && v.Status == 503 && (mayHaveStarted(c) || c.Unknown || c.Wrote):
			t.Fatalf("what may have been done is called not done: %+v", c)
		case v.Do == Fail && (v.Status < 502 || v.Pays || v.Pause), v.Do != Fail && v.Status != 0:
			t.Fatalf("%+v makes no sense: %+v", v, c)
		}
	}
}

// TestSequences plays whole requests: whatever the attempts end with, there are three at most, and at most
// one repetition.
func TestSequences(t *testing.T) {
	var play func(c Case, depth int)
	play = func(c Case, depth int) {
		for _, e := range ends {
			next := c
			next.State, next.End, next.Status, next.Own = e.State, e.End, e.Status, e.Own
			if e.Own && depth > 0 {
				continue // an own handler comes first
			}
			next.Attempts++
			v := Decide(next)
			if v.Do != Retry {
				continue
			}
			if next.Attempts >= MaxAttempts {
				t.Fatalf("attempt %d: %+v", next.Attempts+1, next)
			}
			if notStarted(next) {
				next.Moves++
			} else {
				next.Unknown = true
				if answered(next) {
					next.Kept = true
				} else {
					next.Repeats++
				}
			}
			if next.Repeats > 1 {
				t.Fatalf("%d repetitions: %+v", next.Repeats, next)
			}
			play(next, depth+1)
		}
	}
	for _, m := range methods {
		for _, r := range routes {
			play(Case{Method: m, Route: r, Others: true, Credit: true}, 0)
		}
	}
}

// BenchmarkDecide is what a decision costs.
func BenchmarkDecide(b *testing.B) {
	c := Case{State: attempt.Sent, Method: "GET", Attempts: 1, Others: true, Credit: true}
	b.ReportAllocs()
	for b.Loop() {
		Decide(c)
	}
}
