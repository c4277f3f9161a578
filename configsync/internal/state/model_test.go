package state

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// TestRandomCommands has random commands carried out, on one machine and on another that is restored from snapshots of
// the first now and then. Both are equal, byte by byte, and what is promised of every state holds.
func TestRandomCommands(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			r, twin := newRig(t), NewMachine(nil)
			ok, shares := map[Status]int{}, [2]int{} // of clients: shown something, and raised
			strict := map[Phase]int{}                // what was frozen and has become of that
			for i := range 4000 {
				was := r.State()
				cmd := randomCommand(rng, was)
				if rng.IntN(50) == 0 {
					if err := twin.Restore(bytes.NewReader(snapshotOf(r.Machine))); err != nil {
						t.Fatal(err)
					}
				}
				a := r.apply(cmd)
				ok[a.Status]++
				twin.Apply(r.index, begin.Add(time.Duration(r.index)*time.Second), cmd)
				if i%10 == 0 && !bytes.Equal(snapshotOf(r.Machine), snapshotOf(twin)) {
					t.Fatal("the twin has become another")
				}
				checkPromises(t, was, r.State(), a)
				if c, had := r.State().Canary(), was.Canary(); c.Percent > had.Percent {
					shares[min(1, had.Percent)]++
				}
				if id, _ := was.Frozen(); id != 0 {
					by, _ := r.State().Rollout(id)
					strict[by.Phase]++
				}
			}
			if ok[OK] < 300 || ok[Busy] == 0 || ok[Conflict] == 0 || ok[Ended] == 0 || ok[Same] == 0 ||
				ok[NotSharable] == 0 || shares[0] < 5 || shares[1] < 1 ||
				strict[Staging] < 10 || strict[Confirming]+strict[Done] < 5 || strict[Aborted] < 5 {
				t.Errorf("that is no test of anything: %v, %v, %v", ok, shares, strict)
			}
		})
	}
}

func randomCommand(rng *rand.Rand, s *State) []byte {
	running, _ := s.InProgress()
	rollout := running.ID + uint64(rng.IntN(8)/7)
	text := func(most int) string { return strings.Repeat("x", most*(rng.IntN(10)/9)) } // as long as can be, or none
	w := Write{Epoch: s.Current().Number - uint64(rng.IntN(10)/9), Who: text(MaxWho), Why: text(MaxWhy)}
	if rng.IntN(3) == 0 {
		w.Key = fmt.Sprint(rng.IntN(500))
	}
	p := Plan{Confirm: time.Duration(rng.IntN(2)) * time.Second, Dry: rng.IntN(6) == 0}
	switch rng.IntN(10) {
	case 0, 1, 2:
		c := proposal(w, fmt.Sprint("f", rng.IntN(4)), fmt.Sprint(rng.IntN(30)))
		if rng.IntN(2) == 0 {
			c.Changes = nil
		}
		if c.Plan, c.Hold, c.Keep = p, rng.IntN(6) == 0, rng.IntN(2) == 0; !c.Keep {
			c.Content = Content{Root: blob.Sum([]byte{byte(rng.IntN(20))}), Size: 1, Files: 1}
		}
		switch {
		case !c.Hold && rng.IntN(3) == 0:
			c.Plan.Percent = 1 + uint64(rng.IntN(50))
		case !c.Hold && !p.Dry && rng.IntN(3) == 0:
			c.Plan.Strict = time.Second
		}
		return c.Append(nil)
	case 3:
		if rng.IntN(4) == 0 {
			p.Nodes = []string{"n1"}
		} else if rng.IntN(2) == 0 {
			p.Percent = 1 + uint64(rng.IntN(100))
		} else if s.canary.Release == 0 && !p.Dry {
			p.Strict = MaxStrict
		}
		if s.canary.Release != 0 && rng.IntN(4) > 0 { // to more clients, or to all
			return Begin{w, s.canary.Release, p}.Append(nil)
		}
		return Begin{w, s.release - uint64(rng.IntN(60)), p}.Append(nil)
	case 4, 5:
		if running.Plan.Strict > 0 && !running.frozen() && rng.IntN(4) > 0 {
			return Freeze{Rollout: rollout, Ready: []string{"n1"}}.Append(nil)
		}
		return Activate{Rollout: rollout, Ready: []string{"n1"}}.Append(nil)
	case 6, 7:
		return Confirm{rollout, "n1", ""}.Append(nil)
	case 8:
		if rng.IntN(2) == 0 {
			return Return{rollout, text(MaxWho), text(MaxReason)}.Append(nil)
		}
		return Abort{rollout, text(MaxWho), text(MaxReason)}.Append(nil)
	}
	return EndCanary{s.canary.Rollout, "me", text(MaxReason)}.Append(nil)
}

// checkHeld checks what holds for requests that are held: while they are, nothing else goes on, and a Strict rollout
// switches nothing unless they were.
func checkHeld(t *testing.T, was, is *State) {
	t.Helper()
	id, most := was.Frozen()
	now, _ := is.Frozen()
	by, _ := is.Rollout(id)
	n := is.Current()
	switch as, _ := is.Rollout(n.Rollout); {
	case id != 0 && now != id && (now != 0 || by.Phase == Staging || by.Phase == Returned):
		t.Fatalf("rollout %d was frozen, and is %v; %d is frozen", id, by.Phase, now)
	case id != 0 && n.Number != was.Current().Number && n.Rollout != id:
		t.Fatalf("rollout %d has switched while %d was frozen", n.Rollout, id)
	case now != 0 && n.Number != was.Current().Number || id != 0 && most == 0:
		t.Fatalf("epoch %d while requests are held", n.Number)
	case id == 0 && n.Number > was.Current().Number && as.Plan.Strict > 0 && as.Phase != Returned:
		t.Fatalf("the Strict rollout %d has switched, and no requests were held", n.Rollout)
	}
}

// checkPromises checks what holds for a state that follows another.
func checkPromises(t *testing.T, was, is *State, a Answer) {
	t.Helper()
	if was != is && a.Status != OK {
		t.Fatalf("%v has changed something", a)
	}
	if n := is.Current().Number; n != was.Current().Number && n != was.Current().Number+1 {
		t.Fatalf("epoch %d after %d", n, was.Current().Number)
	}
	if e := is.Current(); e.Number > max(1, was.Current().Number) && !e.Time.Truncate(time.Second).After(was.Current().Time) {
		t.Fatalf("epoch %d is of %v, the one before of %v", e.Number, e.Time, was.Current().Time)
	}
	if len(is.releases) > maxReleases || len(is.epochs) > Kept || len(is.rollouts) > Kept {
		t.Fatalf("%d releases, %d epochs, %d rollouts", len(is.releases), len(is.epochs), len(is.rollouts))
	}
	checkHeld(t, was, is)
	c, had := is.Canary(), was.Canary()
	switch {
	case is.turn < was.turn || is.turn > was.turn+1:
		t.Fatalf("turn %d after %d", is.turn, was.turn)
	case is.turn == was.turn && c.Percent != had.Percent:
		t.Fatalf("%+v after %+v, in one turn", c, had)
	case c.Percent > 0 && had.Percent > 0 && (c.Release != had.Release || c.Percent < had.Percent):
		t.Fatalf("%+v after %+v: clients have gone back", c, had)
	case c.Percent > 0 && (len(c.Nodes) > 0 || is.Current().Number != was.Current().Number):
		t.Fatalf("%+v in epoch %d", c, is.Current().Number)
	}
	if r, _ := is.Release(c.Release); c.Percent > 0 && !is.Sharable(r) {
		t.Fatalf("%+v has other configuration than what is in force", c)
	}
	running, busy := is.InProgress()
	for _, e := range append(is.Epochs(), Epoch{Release: is.canary.Release}, Epoch{Release: running.Release}) {
		if _, ok := is.Release(e.Release); !ok {
			t.Fatalf("release %d is needed, and gone", e.Release)
		}
	}
	for _, r := range is.releases {
		if !is.hasRevision(r.Revision) {
			t.Fatalf("revision %d of release %d is gone", r.Revision, r.ID)
		}
		if r.Dry && (!busy || running.Release != r.ID) {
			t.Fatalf("release %d of a dry run is left", r.ID)
		}
	}
	roots := is.Roots()
	for _, node := range []string{"n1", "n2"} {
		r, _ := is.For(node)
		if !r.Content.Root.IsZero() && !slices.Contains(roots, r.Content.Root) {
			t.Fatalf("the content that %s shows may go", node)
		}
	}
	if len(roots) > 1+keptBefore+1+2+keptUntried {
		t.Fatalf("%d contents are kept", len(roots))
	}
}
