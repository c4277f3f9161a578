package keyring

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// kept is a farm whose nodes keep the ring, in fake time.
type kept struct {
	*farm
	t     *testing.T
	rings []*Ring
	log   *strings.Builder
	logMu sync.Mutex
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func (k *kept) Write(b []byte) (int, error) {
	k.logMu.Lock()
	defer k.logMu.Unlock()
	return k.log.Write(b)
}

func (k *kept) logged() string {
	k.logMu.Lock()
	defer k.logMu.Unlock()
	return k.log.String()
}

var hourly = Keeping{Policies: map[string]Policy{"session": {Rotate: time.Hour, Accept: 90 * time.Minute}}}

// keep runs body with a farm of n nodes that keep their ring by cfg.
func keep(t *testing.T, n int, cfg Keeping, body func(k *kept)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		k := &kept{farm: newFarm(n), t: t, log: new(strings.Builder)}
		k.clock = time.Now
		cfg.Logger = slog.New(slog.NewTextHandler(k, nil))
		ctx, stop := context.WithCancel(t.Context())
		k.stop = stop
		defer k.end()
		for i := range n {
			k.rings = append(k.rings, k.ring(i))
		}
		if err := k.rings[0].Ensure(ctx, "session", "another program's"); err != nil {
			t.Fatal(err)
		}
		for _, r := range k.rings {
			k.wg.Go(func() { r.Keep(ctx, cfg) })
		}
		body(k)
	})
}

func (k *kept) end() {
	k.stop()
	k.wg.Wait()
}

// set changes the farm.
func (k *kept) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *kept) proposals() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.proposed
}

// after lets time pass.
func (k *kept) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// expect checks the keys on every node but those given.
func (k *kept) expect(want string, but ...int) {
	k.t.Helper()
	for i, n := range k.nodes {
		skip := false
		for _, b := range but {
			skip = skip || b == i
		}
		if got := keysOf(n.local(), "session"); !skip && got != want {
			k.t.Errorf("%s has %s, want %s", n.name, got, want)
		}
	}
}

// Many nodes make one rotation, and each key goes through its life.
func TestKeepRotates(t *testing.T) {
	keep(t, 5, hourly, func(k *kept) {
		k.after(time.Hour - time.Second)
		k.expect("1 signing")
		k.after(2*patience + 2*lookEvery)
		k.expect("1 accepting, 2 signing")
		k.after(time.Hour + patience)
		k.expect("1 accepting, 2 accepting, 3 signing")
		k.after(40 * time.Minute)
		k.expect("1 retired, 2 accepting, 3 signing")
		before := k.proposals()
		k.after(12 * time.Hour)
		id, _, _ := k.rings[4].Current("session")
		if id < 12 || id > 15 { // each hour, and up to a minute or so
			t.Errorf("key %d signs after 12 hours more", id)
		}
		if n := k.proposals() - before; n > 12*5 {
			t.Errorf("%d proposals in 12 hours, of %d rotations", n, id)
		}
		if got := keysOf(k.nodes[0].local(), "another program's"); got != "1 signing" {
			t.Errorf("what nobody here keeps: %s", got)
		}
		for _, want := range []string{"a new key has come", "another key signs", "a key has retired"} {
			if !strings.Contains(k.logged(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
	})
}

// A key that a member lacks does not sign, until that member has it, or has been away for long.
func TestKeepWaitsForMembers(t *testing.T) {
	cfg := hourly
	cfg.Absent = 30 * time.Minute
	keep(t, 3, cfg, func(k *kept) {
		away := k.nodes[2]
		away.setCut(true)
		k.after(time.Hour + 3*patience)
		k.expect("1 signing, 2 pending", 2)
		if !strings.Contains(k.logged(), "node n3 may be behind") {
			t.Errorf("the log does not say who is waited for:\n%s", k.logged())
		}
		if n := strings.Count(k.logged(), "not every member has it"); n > 2 {
			t.Errorf("the log says %d times that a key waits", n)
		}
		away.setCut(false)
		k.after(2 * patience)
		k.expect("1 accepting, 2 signing")

		away.setCut(true)
		k.after(time.Hour + 3*patience)
		k.expect("1 accepting, 2 signing, 3 pending", 2)
		k.after(cfg.Absent)
		k.expect("1 retired, 2 accepting, 3 signing", 2)
		if !strings.Contains(k.logged(), "although a member may lack it") {
			t.Error("the log does not say that a key signs without a member")
		}
		if err := k.rings[2].Await(t.Context(), "session", 3); err == nil {
			t.Error("the node that was left out takes for forged what it cannot know")
		}
		away.setCut(false)
		k.after(2 * patience)
		k.expect("1 retired, 2 accepting, 3 signing")
	})
}

// A node that has said that it stops does not hold a key up: it catches up before it serves again.
func TestKeepWithoutWhoStopped(t *testing.T) {
	keep(t, 3, hourly, func(k *kept) {
		k.set(func() { k.nodes[2].stopped = true })
		k.after(time.Hour + 3*patience)
		k.expect("1 accepting, 2 signing", 2)
	})
}

// What an operator wants is done at once, by whichever node was asked.
func TestKeepAtOnce(t *testing.T) {
	never := Keeping{Policies: map[string]Policy{"session": {Rotate: -1}}}
	keep(t, 3, never, func(k *kept) {
		k.after(5 * time.Hour)
		k.expect("1 signing")
		if _, err := k.rings[1].Rotate(t.Context(), "session", 1); err != nil {
			t.Fatal(err)
		}
		k.after(time.Millisecond)
		k.expect("1 accepting, 2 signing")
	})
}

// Below the level nothing is due. When the level rises, it is.
func TestKeepBelowTheLevel(t *testing.T) {
	keep(t, 3, hourly, func(k *kept) {
		k.set(func() { k.level = rotationLevel - 1 })
		before := k.proposals()
		k.after(5 * time.Hour)
		k.expect("1 signing")
		if k.proposals() != before {
			t.Errorf("%d proposals", k.proposals()-before)
		}
		if b := snapshot(t, k.nodes[0].local()); b[0] != formatFirst {
			t.Error("a snapshot that older programs do not read")
		}
		k.set(func() { k.level = rotationLevel })
		k.after(3 * patience)
		k.expect("1 accepting, 2 signing")
	})
}

// Clocks of single nodes decide nothing: it is the log's time that counts, and those who are too early ask
// seldom.
func TestKeepByTheLogsTime(t *testing.T) {
	keep(t, 3, hourly, func(k *kept) {
		begin := time.Now()
		k.set(func() { k.clock = func() time.Time { return begin.Add(time.Since(begin) / 10) } }) // all are fast
		before := k.proposals()
		k.after(9 * time.Hour)
		k.expect("1 signing")
		if n := k.proposals() - before; n > 3*40 {
			t.Errorf("%d proposals that were too early", n)
		}
		k.after(time.Hour + 4*patience)
		id, _, _ := k.rings[0].Current("session")
		if id != 2 {
			t.Errorf("key %d signs after an hour of the log's", id)
		}
	})
}

// Errors of the log pass, and the work goes on.
func TestKeepAfterErrors(t *testing.T) {
	keep(t, 3, hourly, func(k *kept) {
		k.set(func() { k.fail = errCut })
		k.after(2 * time.Hour)
		k.expect("1 signing")
		k.set(func() { k.fail = nil })
		k.after(4 * patience)
		k.expect("1 accepting, 2 signing")
	})
}

func TestPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		p    Policy
		want string
	}{
		"zero":                  {Policy{}, ""},
		"never":                 {Policy{Rotate: -1}, ""},
		"accepted for 20 years": {Policy{Accept: 20 * 365 * day}, ""},
		"a minute":              {Policy{Rotate: time.Minute, Accept: 30 * time.Minute}, ""},
		"less than a minute":    {Policy{Rotate: time.Second, Accept: time.Second}, "a minute at least"},
		"accepted for no time":  {Policy{Accept: -1}, "accepted for a while"},
		"too many keys at once": {Policy{Rotate: time.Hour, Accept: 31 * time.Hour}, "too many keys"},
		"for ever":              {Policy{Accept: 1<<63 - 1}, "longer than"},
	} {
		err := test.p.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	p := Keeping{}.Policy("x")
	if p.Rotate != 90*day || p.Accept != 180*day {
		t.Errorf("%+v", p)
	}
}

// The node that was away during many rotations, and starts with an old snapshot, comes to the same state.
func TestKeepAndRestart(t *testing.T) {
	keep(t, 3, hourly, func(k *kept) {
		old := snapshot(t, k.nodes[1].local())
		k.mu.Lock()
		at := k.nodes[1].applied
		k.mu.Unlock()
		k.after(10 * time.Hour)
		k.mu.Lock()
		k.nodes[1].machine, k.nodes[1].applied = restored(t, old), at
		k.nodes[1].followLocked()
		k.mu.Unlock()
		if !bytes.Equal(snapshot(t, k.nodes[1].local()), snapshot(t, k.nodes[0].local())) {
			t.Error("the nodes differ")
		}
	})
}
