package state

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

func TestCreate(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.want(Result{Status: OK, Version: 1}, create(key, "b", "2", "a", "1", "b", "3"))
	rec := r.holds(key, "a=1 b=3")
	if !rec.Created.Equal(epoch) || !rec.LastSeen.Equal(epoch) || rec.Mod != 1 || rec.Len() != 2 {
		t.Errorf("record %+v", rec)
	}
	if want := epoch.Add(30*time.Minute + time.Minute); !rec.Deadline().Equal(want) {
		t.Errorf("deadline %v, want %v", rec.Deadline(), want)
	}
	r.want(Result{Status: Exists}, create(key, "c", "4"))
	r.holds(key, "a=1 b=3")

	r.want(Result{Status: Malformed}, Create{Key: keyOf(2), Absolute: time.Hour})
	r.want(Result{Status: Malformed}, Create{Key: keyOf(2), Idle: time.Hour})
	r.want(Result{Status: Malformed}, Create{Key: keyOf(2), Idle: time.Hour, Absolute: -time.Hour})
	r.want(Result{Status: Malformed}, create(keyOf(2), "", "1"))
	r.gone(keyOf(2))
	r.want(Result{Status: OK, Version: 7}, create(keyOf(2)))
	r.holds(keyOf(2), "")
	if r.Len() != 2 || r.Applied() != 7 {
		t.Errorf("%d sessions at %d", r.Len(), r.Applied())
	}
}

func TestWrite(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.want(Result{Status: Ended}, Write{Key: key, Sets: entries("a", "1")})
	r.gone(key)
	r.apply(create(key, "a", "1", "b", "2", "c", "3"))
	for _, step := range []struct {
		write Write
		want  string
		still bool // nothing changes
	}{
		{Write{Sets: entries("b", "x")}, "a=1 b=x c=3", false},
		{Write{Sets: entries("d", "4", "0", "z")}, "0=z a=1 b=x c=3 d=4", false},
		{Write{Deletes: []string{"0", "d", "nothing"}}, "a=1 b=x c=3", false},
		{Write{Deletes: []string{"nothing"}}, "a=1 b=x c=3", true},
		{Write{}, "a=1 b=x c=3", true},
		{Write{Sets: entries("a", "5"), Deletes: []string{"a", "b"}}, "a=5 c=3", false},
		{Write{Sets: entries("a", "6", "a", "7")}, "a=7 c=3", false},
		{Write{Sets: entries("a", "")}, "a= c=3", false},
		{Write{Deletes: []string{"a", "a", "c"}}, "", false},
	} {
		step.write.Key = key
		before, _ := r.Get(key)
		answer := r.apply(step.write)
		rec := r.holds(key, step.want)
		if step.still {
			if rec.Mod != before.Mod || answer.Version != 0 || answer.Status != OK {
				t.Errorf("%+v: answer %+v, changed at %d", step.write, answer, rec.Mod)
			}
		} else if rec.Mod != r.index || answer.Version == 0 && len(step.write.Sets) > 0 || answer.Status != OK {
			t.Errorf("%+v: answer %+v, changed at %d", step.write, answer, rec.Mod)
		}
	}
	r.want(Result{Status: Malformed}, Write{Key: key, Sets: entries("", "1")})
	r.want(Result{Status: Malformed}, Write{Key: key, Deletes: []string{""}})
}

func TestVersionsArePerValue(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.apply(create(key, "a", "1", "b", "2"))
	r.apply(Write{Key: key, Sets: entries("b", "3")})
	rec, _ := r.Get(key)
	_, a, _ := rec.Value("a")
	_, b, _ := rec.Value("b")
	_, none, ok := rec.Value("c")
	if a != 1 || b != 2 || none != 0 || ok {
		t.Errorf("versions %d %d %d", a, b, none)
	}
}

// Commands that share a log entry share its index. A version seen between two of them must not pass for the later one.
func TestVersionsDifferWithinOneIndex(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	at := func(c command) Result {
		t.Helper()
		answer, err := DecodeResult(r.Apply(9, epoch, c.Append(nil)))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	at(create(key, "n", "0"))
	first := at(CAS{key, "n", 9, []byte("1")})
	second := at(Write{Key: key, Sets: entries("n", "2")})
	if first.Status != OK || second.Version == first.Version {
		t.Fatalf("answers %+v, %+v", first, second)
	}
	if stale := at(CAS{key, "n", first.Version, []byte("lost")}); stale.Status != Conflict || string(stale.Value) != "2" {
		t.Errorf("a CAS on a version of the same index: %+v", stale)
	}
	if rec := r.holds(key, "n=2"); rec.Mod != 9 {
		t.Errorf("changed at %d, want 9", rec.Mod)
	}
}

func TestCAS(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.want(Result{Status: Ended}, CAS{key, "n", 0, []byte("1")})
	r.apply(create(key))
	r.want(Result{Status: Conflict}, CAS{key, "n", 7, []byte("1")})
	r.want(Result{Status: OK, Version: 4}, CAS{key, "n", 0, []byte("1")})
	r.want(Result{Status: Conflict, Found: true, Version: 4, Value: []byte("1")}, CAS{key, "n", 0, []byte("2")})
	r.want(Result{Status: OK, Version: 6}, CAS{key, "n", 4, []byte("2")})
	r.want(Result{Status: Conflict, Found: true, Version: 6, Value: []byte("2")}, CAS{key, "n", 4, []byte("3")})
	r.want(Result{Status: OK, Version: 8}, CAS{key, "n", 6, nil})
	r.want(Result{Status: Conflict, Found: true, Version: 8}, CAS{key, "n", 6, nil})
	r.want(Result{Status: Malformed}, CAS{key, "", 0, nil})
	if rec := r.holds(key, "n="); rec.Mod != 8 {
		t.Errorf("changed at %d, want 8: a refused CAS is no change", rec.Mod)
	}
	// Deleted and set again is not the same value.
	r.apply(Write{Key: key, Deletes: []string{"n"}})
	r.apply(Write{Key: key, Sets: entries("n", "")})
	if answer := r.apply(CAS{key, "n", 8, []byte("4")}); answer.Status != Conflict {
		t.Errorf("the version of a deleted value was good for the next one: %+v", answer)
	}
}

func TestTake(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.want(Result{Status: Ended}, Take{key, "flash"})
	r.apply(create(key, "flash", "saved", "keep", "1"))
	r.want(Result{Status: OK}, Take{key, "nothing"})
	if rec := r.holds(key, "flash=saved keep=1"); rec.Mod != 2 {
		t.Errorf("taking nothing changed the session at %d", rec.Mod)
	}
	r.want(Result{Status: OK, Found: true, Version: 2, Value: []byte("saved")}, Take{key, "flash"})
	r.want(Result{Status: OK}, Take{key, "flash"})
	if rec := r.holds(key, "keep=1"); rec.Mod != 4 {
		t.Errorf("changed at %d, want 4", rec.Mod)
	}
	r.want(Result{Status: Malformed}, Take{key, ""})
}

func TestDestroyIsForGood(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	r.want(Result{Status: Ended}, Destroy{key})
	if r.Ended(key) {
		t.Error("a session that never was has ended")
	}
	r.apply(create(key, "a", "1"))
	r.want(Result{Status: OK}, Destroy{key})
	late := []command{
		Write{Key: key, Sets: entries("a", "1")}, CAS{key, "a", 0, nil}, CAS{key, "a", 2, nil}, Take{key, "a"}, Destroy{key},
	}
	for range 2 {
		for _, c := range late {
			r.want(Result{Status: Ended}, c)
		}
		r.want(Result{Status: OK}, Touch{[]Key{key}})
		r.want(Result{Status: Exists}, create(key))
		r.gone(key)
		if !r.Ended(key) || r.Len() != 0 {
			t.Error("it is not known that the session ended")
		}
		r.pass(TombstoneTTL / 2)
	}
	r.pass(time.Millisecond)
	for _, c := range late {
		r.want(Result{Status: Ended}, c)
	}
	if r.Ended(key) {
		t.Error("the tombstone outlived its time")
	}
	r.apply(Tick{})
	if sh := r.table.Load().shard(key); len(sh.index) != 0 || len(sh.graves.items) != 0 {
		t.Error("Tick left the tombstone")
	}
}

func TestTouch(t *testing.T) {
	r := newRig(t)
	r.apply(create(keyOf(1), "a", "1"))
	r.apply(create(keyOf(2)))
	r.pass(20 * time.Minute)
	r.want(Result{Status: OK, Count: 1}, Touch{[]Key{keyOf(1), keyOf(3)}})
	r.want(Result{Status: OK}, Touch{})
	rec := r.holds(keyOf(1), "a=1")
	if !rec.LastSeen.Equal(r.now) || rec.Mod != 1 {
		t.Errorf("touched session %+v", rec)
	}
	r.pass(11 * time.Minute)
	r.apply(Touch{})
	r.gone(keyOf(2))
	r.gone(keyOf(3))
	r.holds(keyOf(1), "a=1")
	r.want(Result{Status: OK}, Touch{[]Key{keyOf(2)}})
	r.gone(keyOf(2))
}

func TestChangesAreUses(t *testing.T) {
	for name, c := range map[string]command{
		"write": Write{Key: keyOf(1), Sets: entries("b", "1")},
		"cas":   CAS{keyOf(1), "a", 1, nil},
		"take":  Take{keyOf(1), "a"},
	} {
		r := newRig(t)
		r.apply(create(keyOf(1), "a", "1"))
		r.pass(time.Minute)
		r.apply(c)
		if rec, _ := r.Get(keyOf(1)); !rec.LastSeen.Equal(r.now) {
			t.Errorf("%s: last seen at %v, want %v", name, rec.LastSeen, r.now)
		}
	}
}

func TestLimits(t *testing.T) {
	r, key, long := newRig(t), keyOf(1), strings.Repeat("x", 100)
	limits := Limits{Value: 100, Name: 10, Keys: 3, Session: 150, Sessions: 2}
	r.want(Result{Status: OK}, SetLimits{limits})
	if r.Limits() != limits {
		t.Errorf("limits %+v", r.Limits())
	}
	r.want(Result{Status: Malformed}, SetLimits{Limits{Value: 1}})
	r.want(Result{Status: Malformed}, SetLimits{Limits{Value: 1 << 30, Name: 1, Keys: 1, Session: 1, Sessions: 1}})
	for _, bad := range [][]Entry{
		entries("a", long+"x"),
		entries("abcdefghijk", "1"),
		entries("a", "", "b", "", "c", "", "d", ""),
		entries("a", long, "b", long),
	} {
		r.want(Result{Status: TooLarge}, create(key, flat(bad)...))
		r.gone(key)
	}
	r.apply(create(key, "a", long))
	for _, bad := range [][]Entry{
		entries("a", long+"x"), entries("abcdefghijk", "1"), entries("b", "", "c", "", "d", ""), entries("b", long),
	} {
		r.want(Result{Status: TooLarge}, Write{Key: key, Sets: bad})
	}
	r.want(Result{Status: TooLarge}, CAS{key, "b", 0, []byte(long)})
	r.holds(key, "a="+long)
	r.apply(create(keyOf(2)))
	r.want(Result{Status: TooLarge}, create(keyOf(3)))
	r.apply(Destroy{keyOf(2)})
	if answer := r.apply(create(keyOf(3))); answer.Status != OK {
		t.Errorf("room for a session again, but %+v", answer)
	}
	// Deleting is allowed even where lower limits came later.
	limits.Session = 1
	r.apply(SetLimits{limits})
	r.apply(Write{Key: key, Sets: entries("b", "1")})
	r.apply(Write{Key: key, Deletes: []string{"nothing"}})
	r.holds(key, "a="+long)
	r.apply(Write{Key: key, Deletes: []string{"a"}})
	r.holds(key, "")
}

func flat(entries []Entry) (pairs []string) {
	for _, e := range entries {
		pairs = append(pairs, e.Name, string(e.Value))
	}
	return pairs
}

func TestRecordNeverChanges(t *testing.T) {
	r, key := newRig(t), keyOf(1)
	cmd := create(key, "a", "one", "b", "two").Append(nil)
	r.Apply(1, epoch, cmd)
	for i := range cmd {
		cmd[i] = 0xff // Apply must not have kept it
	}
	rec := r.holds(key, "a=one b=two")
	r.index = 1
	r.apply(Write{Key: key, Sets: entries("a", "eno"), Deletes: []string{"b"}})
	r.apply(Destroy{key})
	if got := show(rec); got != "a=one b=two" {
		t.Errorf("the record became %q", got)
	}
	value, _, _ := rec.Value("a")
	_ = append(value, "overwrites?"...)
	if got := show(rec); got != "a=one b=two" {
		t.Errorf("appending to a value made the record %q", got)
	}
	if strings.Contains(rec.String(), "one") {
		t.Errorf("%q shows values", rec.String())
	}
}

func TestNamesCanStop(t *testing.T) {
	r := newRig(t)
	r.apply(create(keyOf(1), "a", "", "b", ""))
	rec, _ := r.Get(keyOf(1))
	for name := range rec.Names() {
		if name != "a" {
			t.Errorf("first name is %q", name)
		}
		break
	}
	if got := slices.Collect(rec.Names()); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names %q", got)
	}
}

func TestUnknownCommandPanicsAndChangesNothing(t *testing.T) {
	r := newRig(t)
	r.apply(create(keyOf(1)))
	before := snapshot(t, r.Machine)
	for _, op := range []byte{0, opChangeLimits + 1, 255} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var unknown fault.UnknownCommandError
				if !errors.As(err, &unknown) || unknown.Op != op || unknown.Index != 7 || !errors.Is(err, fault.ErrVersion) {
					t.Errorf("op %d: panic with %v", op, err)
				}
			}()
			r.Apply(7, epoch.Add(time.Hour), []byte{op, 1, 2, 3})
		}()
	}
	if string(snapshot(t, r.Machine)) != string(before) {
		t.Error("the state changed")
	}
}

// What every program knows needs level 1, whatever stands behind the op code; what only this one knows needs more.
func TestLevel(t *testing.T) {
	for op, want := range map[byte]int{0: 1, opCreate: 1, opSetLimits: 1, opRenew: CommandsLevel, opChangeLimits: CommandsLevel, 255: CommandsLevel} {
		if got := Level([]byte{op, 255, 255}); got != want {
			t.Errorf("op %d needs level %d, want %d", op, got, want)
		}
	}
	if Level(nil) != 1 {
		t.Error("the machine itself needs", Level(nil))
	}
}

func TestMalformedCommandsChangeNothing(t *testing.T) {
	key := keyOf(1)
	commands := []command{
		create(keyOf(2), "a", "1"), Write{key, entries("b", "2"), []string{"a"}}, CAS{key, "a", 1, []byte("2")},
		Renew{key, keyOf(3), entries("b", "2"), []string{"a"}}, ChangeLimits{0, withTotal(1 << 30)},
		Take{key, "a"}, Destroy{key}, Touch{[]Key{key, keyOf(2)}}, Tick{1}, SetLimits{DefaultLimits()},
	}
	for _, c := range commands {
		whole := c.Append(nil)
		var bad [][]byte
		for n := range whole {
			if n != 0 && !(whole[0] == opTouch && (n-1)%len(key) == 0) {
				bad = append(bad, whole[:n])
			}
		}
		bad = append(bad, nil, append(slices.Clone(whole), 0))
		for _, cmd := range bad {
			r := newRig(t)
			r.apply(create(key, "a", "1"))
			before := r.table.Load().live.Load()
			answer, err := DecodeResult(r.Apply(2, epoch, cmd))
			if err != nil || answer.Status != Malformed {
				t.Errorf("%T cut to %d of %d bytes: %+v, %v", c, len(cmd), len(whole), answer, err)
			}
			if rec := r.holds(key, "a=1"); rec.Mod != 1 || r.table.Load().live.Load() != before || !r.LastTick().IsZero() {
				t.Errorf("%T cut to %d bytes changed something", c, len(cmd))
			}
		}
	}
}

func TestResultRoundTrip(t *testing.T) {
	for _, r := range []Result{
		{Status: OK}, {Status: Ended}, {Status: Malformed, Count: 1000, More: true},
		{Status: Conflict, Found: true, Version: 1 << 60, Value: []byte("x")}, {Status: OK, Found: true, Value: []byte{}},
	} {
		if got, err := DecodeResult(r.Append(nil)); err != nil || !same(got, r) || (got.Value == nil) != (r.Value == nil) {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	for _, b := range [][]byte{nil, {1}, {1, 0}, {0, 0, 0, 0}, {8, 0, 0, 0}, {1, 4, 0, 0}, {1, 0, 0}, {1, 0, 0x80, 0, 0}} {
		if r, err := DecodeResult(b); err == nil {
			t.Errorf("%x is %+v", b, r)
		}
	}
	for s := OK; s <= Full; s++ {
		if strings.HasPrefix(s.String(), "status") {
			t.Errorf("%s has no name", s)
		}
	}
}
