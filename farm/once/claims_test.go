package once

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// simClaims are the claims that the log has taken, as they stand in it: what each job must have come to.
type simClaims struct {
	times   map[simTick]int // how often each was claimed
	ends    map[string][2]int64
	beyond  map[string][][2]int64 // from and before: what was too much for one claim
	granted map[string]uint64     // runs, also by an operator's word
	orders  map[string]uint64     // an operator's words
}

func newSimClaims() simClaims {
	return simClaims{map[simTick]int{}, map[string][2]int64{}, map[string][][2]int64{}, map[string]uint64{},
		map[string]uint64{}}
}

// The op codes of the commands that are looked into.
var (
	opClaim   = state.Claim{}.Append(nil)[0]
	opTrigger = state.Trigger{}.Append(nil)[0]
	opStart   = state.Start{}.Append(nil)[0]
)

// note takes down an entry of the log.
func (c *simClaims) note(cmd []byte, a state.Answer) {
	switch ok := a.Code == state.OK || a.Code == state.Granted; {
	case !ok:
		return
	case cmd[0] == opTrigger:
		job, _ := textOf(cmd[1:])
		c.orders[job]++
	case cmd[0] == opClaim:
		_, job, rest := ownerAndJob(cmd)
		c.noteClaim(job, numbersOf(rest))
	}
	if a.Code == state.Granted && (cmd[0] == opClaim || cmd[0] == opStart) {
		_, job, _ := ownerAndJob(cmd)
		c.granted[job]++
	}
}

// noteClaim takes down a claim: what was next, how many times it has, these, whether there were more, and
// what is next then.
func (c *simClaims) noteClaim(job string, numbers []int64) {
	expect, ticks := numbers[0], numbers[2:2+numbers[1]]
	if more := numbers[2+numbers[1]]; more > 0 {
		c.beyond[job] = append(c.beyond[job], [2]int64{expect, ticks[0]})
	}
	for _, at := range ticks {
		c.times[simTick{job, at}]++
	}
	ends, begun := c.ends[job]
	if !begun {
		ends[0] = ticks[0]
	}
	c.ends[job] = [2]int64{ends[0], ticks[len(ticks)-1]}
}

// check returns what is wrong with the claims of a job, or with what the farm has made of them.
func (c *simClaims) check(j Job) (faults []string) {
	every, claimed := time.Second, uint64(0)
	if j.Name == "minute" {
		every = time.Minute
	}
	for at := c.ends[j.Name][0]; at <= c.ends[j.Name][1]; at += every.Milliseconds() {
		n := c.times[simTick{j.Name, at}]
		if claimed += uint64(n); n != 1 && !(n == 0 && c.tooMuch(j.Name, at)) {
			faults = append(faults, fmt.Sprintf("%s: %v was claimed %d times", j.Name, time.UnixMilli(at).UTC(), n))
		}
	}
	if all := j.Claimed + j.Skipped; j.Missed == "all" && all != claimed+c.orders[j.Name] {
		faults = append(faults, fmt.Sprintf("%s: %d times of %d are accounted for: %+v", j.Name, all,
			claimed+c.orders[j.Name], j))
	}
	if has := c.granted[j.Name] + uint64(j.Waiting); has != j.Claimed {
		faults = append(faults, fmt.Sprintf("%s: %d runs were granted, or wait: %+v", j.Name, has, j))
	}
	return faults
}

// tooMuch reports whether a time was one of more than a claim can have.
func (c *simClaims) tooMuch(job string, at int64) bool {
	for _, b := range c.beyond[job] {
		if b[0] <= at && at < b[1] {
			return true
		}
	}
	return false
}

// ownerAndJob reads the beginning of most commands.
func ownerAndJob(cmd []byte) (owner, job string, rest []byte) {
	owner, rest = textOf(cmd[1:])
	job, rest = textOf(rest)
	return owner, job, rest
}

func textOf(b []byte) (text string, rest []byte) {
	n, k := binary.Uvarint(b)
	return string(b[k : k+int(n)]), b[k+int(n):]
}

func numbersOf(b []byte) (all []int64) {
	for len(b) > 0 {
		v, k := binary.Uvarint(b)
		all, b = append(all, int64(v)), b[k:]
	}
	return all
}

// The accounts find what they are there to find.
func TestSimClaims(t *testing.T) {
	minute := func(n int64) int64 { return n * time.Minute.Milliseconds() }
	claim := func(more uint64, expect int64, minutes ...int64) state.Claim {
		c := state.Claim{Owner: "o", Job: "minute", Expect: minute(expect), Left: more, Next: 1}
		for _, m := range minutes {
			c.Ticks = append(c.Ticks, minute(m))
		}
		return c
	}
	type entry struct {
		cmd  state.Command
		code state.Code
	}
	first := entry{claim(0, 5, 5), state.Granted}
	word := entry{state.Trigger{Job: "minute"}, state.OK}
	run := entry{state.Start{Owner: "o", Job: "minute"}, state.Granted}
	for name, test := range map[string]struct {
		log              []entry
		claimed, skipped uint64
		waiting          int
		ok               bool
	}{
		"each once": {[]entry{first, {claim(0, 6, 6, 7), state.OK}, run}, 3, 0, 1, true},
		"too many":  {[]entry{first, {claim(1, 6, 8), state.Granted}}, 2, 0, 0, true},
		"no room":   {[]entry{first, {claim(0, 6, 6, 7), state.OK}}, 2, 1, 1, true},
		"lost to another": {[]entry{first, {claim(0, 5, 5), state.Lost}}, 1, 0, 0,
			true},
		"by word":          {[]entry{first, word, run}, 2, 0, 0, true},
		"twice":            {[]entry{first, first}, 2, 0, 0, false},
		"left out":         {[]entry{first, {claim(0, 7, 7), state.Granted}}, 2, 0, 0, false},
		"forgotten":        {[]entry{first, {claim(0, 6, 6, 7), state.OK}}, 1, 0, 0, false},
		"run from nothing": {[]entry{first, run}, 1, 0, 0, false},
	} {
		c := newSimClaims()
		for _, e := range test.log {
			c.note(e.cmd.Append(nil), state.Answer{Code: e.code})
		}
		faults := c.check(Job{Name: "minute", Missed: "all", Claimed: test.claimed, Skipped: test.skipped,
			Waiting: test.waiting})
		if (len(faults) == 0) != test.ok {
			t.Errorf("%s: %v", name, faults)
		}
	}
}
