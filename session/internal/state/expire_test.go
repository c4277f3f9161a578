package state

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

func TestGranularity(t *testing.T) {
	for idle, want := range map[time.Duration]time.Duration{
		time.Second: 10 * time.Second, 5 * time.Minute: 10 * time.Second, 15 * time.Minute: 30 * time.Second,
		30 * time.Minute: time.Minute, 24 * time.Hour: time.Minute,
	} {
		if got := Granularity(idle); got != want {
			t.Errorf("Granularity(%v) = %v, want %v", idle, got, want)
		}
	}
}

func TestDeadline(t *testing.T) {
	for name, test := range map[string]struct {
		idle, absolute, life time.Duration
	}{
		"idle":     {time.Minute, time.Hour, time.Minute + 10*time.Second},
		"absolute": {time.Hour, 10 * time.Minute, 10 * time.Minute},
		"short":    {time.Millisecond, time.Millisecond, time.Millisecond},
	} {
		key := keyOf(1)
		for _, late := range []command{
			Write{Key: key, Sets: entries("a", "2")}, CAS{key, "a", 1, nil}, Take{key, "a"}, Destroy{key},
		} {
			r := newRig(t)
			r.apply(Create{key, test.idle, test.absolute, entries("a", "1")})
			r.pass(test.life - time.Millisecond)
			r.apply(Tick{})
			if r.Len() != 1 {
				t.Fatalf("%s: collected %v early", name, time.Millisecond)
			}
			r.pass(time.Millisecond)
			r.want(Result{Status: Ended}, late)
			r.want(Result{Status: OK}, Touch{[]Key{key}})
			r.gone(key)
			if !r.Ended(key) || r.Len() != 1 {
				t.Errorf("%s: dead but not collected: ended %v, %d sessions", name, r.Ended(key), r.Len())
			}
			r.want(Result{Status: Exists}, create(key))
			r.want(Result{Status: OK, Count: 1}, Tick{})
			r.want(Result{Status: OK}, Tick{})
			if !r.Ended(key) || r.Len() != 0 || !r.LastTick().Equal(r.now) {
				t.Errorf("%s: collected: ended %v, %d sessions", name, r.Ended(key), r.Len())
			}
			r.want(Result{Status: Ended}, late)
			r.want(Result{Status: Exists}, create(key))
		}
	}
}

func TestUseMovesTheIdleDeadlineOnly(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.apply(Create{key, 10 * time.Minute, time.Hour, nil})
	for range 6 {
		r.pass(9 * time.Minute)
		r.want(Result{Status: OK, Count: 1}, Touch{[]Key{key}})
		r.want(Result{Status: OK}, Tick{})
	}
	r.pass(6 * time.Minute)
	r.want(Result{Status: OK}, Touch{[]Key{key}})
	r.want(Result{Status: OK, Count: 1}, Tick{})
}

// A touch and a tick at one moment mean the same in either order.
func TestTouchAndTickAtOneMoment(t *testing.T) {
	for _, early := range []time.Duration{time.Millisecond, 0} {
		for _, touchFirst := range []bool{true, false} {
			r, key := newRig(t), keyOf(1)
			r.apply(Create{key, time.Minute, time.Hour, nil})
			r.pass(time.Minute + 10*time.Second - early)
			if touchFirst {
				r.apply(Touch{[]Key{key}})
			}
			r.apply(Tick{})
			if !touchFirst {
				r.apply(Touch{[]Key{key}})
			}
			if _, alive := r.Get(key); alive != (early > 0) {
				t.Errorf("%v before the deadline, touch first %v: alive %v", early, touchFirst, alive)
			}
		}
	}
}

// Which sessions a limited Tick collects must not depend on how the table came about.
func TestTickIsLimitedAndOldestFirst(t *testing.T) {
	const n = 3000
	r := newRig(t)
	for i := range n {
		r.apply(Create{keyOf(i), time.Duration(1+i%5) * time.Minute, time.Hour, nil})
	}
	twin := &rig{TB: t, Machine: restored(t, snapshot(t, r.Machine)), index: r.index, now: r.now}
	r.pass(30 * time.Minute)
	twin.pass(30 * time.Minute)
	var left []int
	for more := true; more; {
		answer := r.apply(Tick{Limit: 400})
		if other := twin.apply(Tick{Limit: 400}); !same(answer, other) {
			t.Fatalf("answers %+v and %+v", answer, other)
		}
		if string(snapshot(t, r.Machine)) != string(snapshot(t, twin.Machine)) {
			t.Fatal("a restored copy collected others")
		}
		if answer.Count > 400 || answer.More && answer.Count != 400 {
			t.Errorf("answer %+v", answer)
		}
		more = answer.More
		left = append(left, r.Len())
		oldest := 6 * time.Minute
		for i := range n {
			if s, ok := r.table.Load().get(keyOf(i)); ok {
				oldest = min(oldest, time.Duration(s.idle)*time.Millisecond)
			}
		}
		if want := time.Duration(1+(n-r.Len())/(n/5)) * time.Minute; oldest < want {
			t.Errorf("%d are left, but one of %v", r.Len(), oldest)
		}
		r.table.Load().check(t)
	}
	if want := []int{2600, 2200, 1800, 1400, 1000, 600, 200, 0}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestTickSearchesALargeMinuteOnlyOnceItIsOver(t *testing.T) {
	r := newRig(t)
	r.pass(30 * time.Second)
	for i := range maxRunning + 1 {
		r.apply(Create{keyOf(i), time.Hour, time.Minute, nil})
	}
	r.pass(time.Minute)
	r.want(Result{Status: OK}, Tick{})
	r.gone(keyOf(1))
	r.pass(29*time.Second + 999*time.Millisecond)
	for left := r.Len(); left > 0; left -= MaxExpire {
		r.want(Result{Status: OK, Count: min(left, MaxExpire), More: left > MaxExpire}, Tick{})
	}
	r.table.Load().check(t)
}

func TestMemoryComesBack(t *testing.T) {
	const n = 100_000
	r := newRig(t)
	for i := range n {
		r.apply(Create{keyOf(i), time.Hour, time.Minute, nil})
	}
	keep := keyOf(n)
	r.apply(create(keep, "a", "1"))
	r.pass(2 * time.Minute)
	for r.apply(Tick{}).More {
	}
	r.pass(TombstoneTTL)
	for range n/maxSweep + 256/8 + 1 {
		r.apply(Tick{})
	}
	slots, pages, index := 0, 0, 0
	for i := range r.table.Load().shards {
		sh := &r.table.Load().shards[i]
		slots, pages, index = slots+len(sh.links), pages+len(sh.pages), index+len(sh.index)+len(sh.graves.items)
	}
	if index != 1 || slots > 256*4*pageLen || pages > 256*4 {
		t.Errorf("%d slots, %d pages, %d index entries for one session", slots, pages, index)
	}
	r.holds(keep, "a=1")
	r.table.Load().check(t)
}

func TestTimeNeverGoesBack(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.apply(create(key))
	r.now = r.now.Add(-time.Hour)
	r.apply(Touch{[]Key{key}})
	if rec, _ := r.Get(key); !rec.LastSeen.Equal(epoch) {
		t.Errorf("last seen %v", rec.LastSeen)
	}
	r = newRig(t)
	r.now = time.Time{}
	r.apply(create(key, "a", "1"))
	if rec := r.holds(key, "a=1"); rec.Created.Year() != 1970 {
		t.Errorf("created %v", rec.Created)
	}
	r.now = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	r.apply(Tick{})
	r.gone(key)
	restored(t, snapshot(t, r.Machine))
}

// Between two commands a reader's clock goes on; each command puts it right.
func TestNow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r, key := newRig(t), keyOf(1)
		if !r.Now().IsZero() || !r.LastTick().IsZero() {
			t.Errorf("a new machine's time is %v, its last tick %v", r.Now(), r.LastTick())
		}
		r.apply(Create{key, time.Minute, time.Hour, nil})
		time.Sleep(time.Minute)
		if want := epoch.Add(time.Minute); !r.Now().Equal(want) {
			t.Errorf("now is %v, want %v", r.Now(), want)
		}
		if _, ok := r.Get(key); !ok {
			t.Error("the session is gone early")
		}
		time.Sleep(10 * time.Second)
		r.gone(key)
		if f, err := DecodeFetched(r.Query(Fetch{key}.Append(nil))); err != nil || f.Found || f.Ended {
			t.Errorf("fetched %+v, %v: ended before the log says so", f, err)
		}
		// Here more time has passed than in the log, which alone decides.
		r.pass(time.Second)
		r.want(Result{Status: OK, Count: 1}, Touch{[]Key{key}})
		if _, ok := r.Get(key); !ok || !r.Now().Equal(r.now) {
			t.Errorf("alive %v at %v", ok, r.Now())
		}
		time.Sleep(time.Hour)
		if r.gone(key); r.Ended(key) {
			t.Error("ended before the log says so")
		}
		r.pass(2 * time.Minute)
		r.apply(Touch{})
		if !r.Ended(key) {
			t.Error("not ended although the log says so")
		}
		m := restored(t, snapshot(t, r.Machine))
		if !m.Now().Equal(r.now) {
			t.Errorf("a restored machine's time is %v, want %v", m.Now(), r.now)
		}
	})
}

// When all shards have become sparse, a Tick rebuilds a few of them, and the next ones the rest.
func TestRebuildingIsBounded(t *testing.T) {
	const n = 100_000
	r := newRig(t)
	for i := range n {
		r.apply(create(keyOf(i), "a", "1"))
	}
	for i := range n * 4 / 5 {
		r.apply(Destroy{keyOf(i)})
	}
	shards, rebuilt := &r.table.Load().shards, 0
	anySparse := func() bool {
		for i := range shards {
			if shards[i].sparse() {
				return true
			}
		}
		return false
	}
	for ticks := 0; anySparse(); ticks++ {
		var before [len(shards)]int
		for i := range shards {
			before[i] = len(shards[i].links)
		}
		r.apply(Tick{})
		moved, last, was := 0, 0, rebuilt
		for i := range shards {
			if len(shards[i].links) < before[i] {
				rebuilt++
				last = len(shards[i].index)
				moved += last
			}
		}
		if moved-last >= maxRebuilt || rebuilt == was {
			t.Fatalf("Tick %d moved %d entries of %d shards", ticks, moved, rebuilt-was)
		}
	}
	if rebuilt < len(shards)/2 {
		t.Errorf("%d shards were rebuilt", rebuilt)
	}
	r.table.Load().check(t)
}

// The first few are found in any order in which the dead come.
func TestBringFirst(t *testing.T) {
	r := newRig(t)
	const n = 500
	for i := range n {
		key := keyOf(i)
		key[0] = 7
		r.apply(Create{key, time.Hour, time.Minute + time.Duration(i/3)*time.Millisecond, nil})
	}
	sh := &r.table.Load().shards[7]
	sorted := make([]due, n)
	for i := range sorted {
		sorted[i] = due{sh.at(uint32(i)).deadline(), uint32(i)}
	}
	slices.SortFunc(sorted, sh.compare)
	random := rand.New(rand.NewPCG(1, 2))
	for name, order := range map[string]func(dead []due){
		"sorted":   func([]due) {},
		"reversed": slices.Reverse[[]due],
		"pipes":    func(dead []due) { slices.Reverse(dead[n/2:]) },
		"random":   func(dead []due) { random.Shuffle(n, func(i, j int) { dead[i], dead[j] = dead[j], dead[i] }) },
	} {
		for _, few := range []int{0, 1, 2, 15, 16, 17, 100, n / 2, n - 1, n} {
			dead := slices.Clone(sorted)
			order(dead)
			sh.bringFirst(dead, few)
			slices.SortFunc(dead[:few], sh.compare)
			slices.SortFunc(dead[few:], sh.compare)
			if !slices.Equal(dead, sorted) {
				t.Errorf("%s: not the first %d", name, few)
			}
		}
	}
}
