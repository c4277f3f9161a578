package keyring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

func TestFirstInTheLogWins(t *testing.T) {
	m := NewMachine()
	for i := range byte(2) {
		if r := do(t, m, epoch, ensure{"session", Secret{i + 1}}.encode()); r != (result{status: statusOK, id: 1}) {
			t.Errorf("answer %+v", r)
		}
	}
	if _, key, _ := m.Current("session"); key[0] != 1 {
		t.Error("the second key won")
	}
}

// TestKeys goes through the life of keys: what each command comes to, and what there is afterwards.
func TestKeys(t *testing.T) {
	const p = "session"
	ok := func(id uint32) result { return result{status: statusOK, id: id} }
	moved := func(id uint32) result { return result{status: statusMoved, id: id} }
	early := func(d time.Duration) result { return result{status: statusEarly, wait: d} }
	rot := func(newest uint32, after time.Duration) []byte {
		return rotate{p, newest, after, Secret{9}}.encode()
	}
	act := func(id uint32, after, accept time.Duration) []byte { return activate{p, id, after, accept}.encode() }
	type step struct {
		at   time.Duration
		cmd  []byte
		want result
		keys string // ids and states afterwards
	}
	for name, steps := range map[string][]step{
		"a whole life": {
			{0, rot(1, time.Hour), early(time.Hour), "1 signing"},
			{time.Hour - 1, rot(1, time.Hour), early(time.Millisecond), "1 signing"},
			{time.Hour, rot(1, time.Hour), ok(2), "1 signing, 2 pending"},
			{time.Hour, rot(1, time.Hour), moved(2), "1 signing, 2 pending"}, // who comes second
			{time.Hour, rot(2, 0), moved(2), "1 signing, 2 pending"},         // one at a time
			{time.Hour, act(2, time.Minute, day), early(time.Minute), "1 signing, 2 pending"},
			{time.Hour, act(1, 0, day), moved(2), "1 signing, 2 pending"},
			{time.Hour, act(3, 0, day), moved(2), "1 signing, 2 pending"},
			{2 * time.Hour, act(2, time.Minute, day), ok(2), "1 accepting, 2 signing"},
			{2 * time.Hour, act(2, 0, day), moved(2), "1 accepting, 2 signing"},
			{2 * time.Hour, retire{p}.encode(), early(day), "1 accepting, 2 signing"},
			{26*time.Hour - time.Millisecond, retire{p}.encode(), early(time.Millisecond), "1 accepting, 2 signing"},
			{2*time.Hour + day, retire{p}.encode(), ok(2), "1 retired, 2 signing"},
			{2*time.Hour + day, retire{p}.encode(), moved(2), "1 retired, 2 signing"},
			{2*time.Hour + day, rot(2, day+time.Hour), early(time.Hour), "1 retired, 2 signing"}, // since it signs
		},
		"revoke the one that signs": {
			{0, revoke{p, 1, 1, Secret{7}}.encode(), ok(2), "1 revoked, 2 signing"},
			{0, revoke{p, 1, 1, Secret{8}}.encode(), ok(2), "1 revoked, 2 signing"},
			{0, rot(1, 0), moved(2), "1 revoked, 2 signing"},
			{0, rot(2, 0), ok(3), "1 revoked, 2 signing, 3 pending"},
		},
		"revoke while one is pending": {
			{0, rot(1, 0), ok(2), "1 signing, 2 pending"},
			{0, revoke{p, 1, 1, Secret{7}}.encode(), ok(2), "1 revoked, 2 signing"},
		},
		"revoke the pending one": {
			{0, rot(1, 0), ok(2), "1 signing, 2 pending"},
			{0, revoke{p, 2, 2, Secret{7}}.encode(), ok(1), "1 signing, 2 revoked"},
			{0, act(2, 0, 0), moved(2), "1 signing, 2 revoked"},
			{0, rot(2, 0), ok(3), "1 signing, 2 revoked, 3 pending"},
		},
		"revoke all": {
			{0, rot(1, 0), ok(2), "1 signing, 2 pending"},
			{0, act(2, 0, day), ok(2), "1 accepting, 2 signing"},
			{0, rot(2, 0), ok(3), "1 accepting, 2 signing, 3 pending"},
			{0, revoke{p, 1, 3, Secret{7}}.encode(), ok(4), "1 revoked, 2 revoked, 3 revoked, 4 signing"},
			{0, revoke{p, 1, 3, Secret{7}}.encode(), ok(4), "1 revoked, 2 revoked, 3 revoked, 4 signing"},
		},
		"what is not there": {
			{0, revoke{p, 2, 9, Secret{7}}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, revoke{p, 0, 0, Secret{7}}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, revoke{p, 2, 1, Secret{7}}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, rotate{"other", 0, 0, Secret{}}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, activate{"other", 1, 0, 0}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, retire{"other"}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, revoke{"other", 0, 9, Secret{}}.encode(), result{status: statusNoKey}, "1 signing"},
			{0, retire{p}.encode(), moved(1), "1 signing"},
			{0, rot(0, 0), moved(1), "1 signing"},
			{0, rot(2, 0), moved(1), "1 signing"},
		},
		"accepted for no time": {
			{0, rot(1, 0), ok(2), "1 signing, 2 pending"},
			{0, act(2, 0, 0), ok(2), "1 accepting, 2 signing"},
			{0, retire{p}.encode(), ok(2), "1 retired, 2 signing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMachine()
			do(t, m, epoch, ensure{p, Secret{1}}.encode())
			for i, s := range steps {
				before := snapshot(t, m)
				if got := do(t, m, epoch.Add(s.at), s.cmd); got != s.want {
					t.Errorf("step %d: %+v, want %+v", i+1, got, s.want)
				}
				if got := keysOf(m, p); got != s.keys {
					t.Errorf("step %d: %s, want %s", i+1, got, s.keys)
				}
				after := snapshot(t, m)
				if s.want.status != statusOK && !bytes.Equal(before, after) {
					t.Errorf("step %d: it was refused, and the state has changed", i+1)
				}
				m = restored(t, after)
			}
		})
	}
}

func keysOf(m *Machine, purpose string) string {
	var all []string
	for _, i := range m.List() {
		if _, ok := m.Key(purpose, i.ID); i.Purpose == purpose {
			if ok != i.State.live() || (i.Fingerprint != "") != ok {
				all = append(all, "WRONG")
			}
			all = append(all, fmt.Sprint(i.ID, " ", i.State))
		}
	}
	return strings.Join(all, ", ")
}

// The secret of a key that has ended is in no snapshot, and a revoked key does not sign by way of another.
func TestEndedKeysAreGone(t *testing.T) {
	m := NewMachine()
	secret := Secret(bytes.Repeat([]byte("abcdefgh"), 4))
	do(t, m, epoch, ensure{"session", secret}.encode())
	if !bytes.Contains(snapshot(t, m), secret[:]) {
		t.Fatal("the test looks for the wrong bytes")
	}
	do(t, m, epoch, revoke{"session", 1, 1, Secret{7}}.encode())
	if bytes.Contains(snapshot(t, m), secret[:]) {
		t.Error("a revoked key is in the snapshot")
	}
	if id, key, ok := m.Current("session"); id != 2 || key[0] != 7 || !ok {
		t.Errorf("key %d signs", id)
	}
	if i := m.List()[0]; i.State != Revoked || !i.Ended.Equal(epoch) || i.Fingerprint != "" {
		t.Errorf("%+v", i)
	}
}

func TestMachineIsBounded(t *testing.T) {
	m := NewMachine()
	for i := range maxPurposes {
		if r := do(t, m, epoch, ensure{fmt.Sprint("p", i), Secret{}}.encode()); r.status != statusOK {
			t.Fatal(r)
		}
	}
	before := snapshot(t, m)
	if r := do(t, m, epoch, ensure{"one more", Secret{}}.encode()); r.status != statusFull {
		t.Error("one purpose too many was accepted", r)
	}
	if r := do(t, m, epoch, ensure{"p7", Secret{9}}.encode()); r.status != statusOK {
		t.Error("an old purpose was refused", r)
	}
	if !bytes.Equal(snapshot(t, m), before) {
		t.Error("the state changed")
	}
	for id := uint32(1); id < maxLive; id++ {
		if r := do(t, m, epoch, rotate{"p7", id, 0, Secret{}}.encode()); r.status != statusOK {
			t.Fatal(id, r)
		}
		do(t, m, epoch, activate{"p7", id + 1, 0, day}.encode())
	}
	if r := do(t, m, epoch, rotate{"p7", maxLive, 0, Secret{}}.encode()); r.status != statusFull {
		t.Error("one key too many was accepted", r)
	}
	if r := do(t, m, epoch.Add(day), retire{"p7"}.encode()); r.status != statusOK {
		t.Error(r)
	}
	if all := m.List(); len(all) != maxPurposes-1+maxEnded+1 {
		t.Errorf("%d keys are remembered", len(all))
	}
	restored(t, snapshot(t, m))

	top := rings{"session": {{id: math.MaxUint32, state: Signing}}}
	m.rings.Store(&top)
	before = snapshot(t, m)
	for _, cmd := range [][]byte{rotate{"session", math.MaxUint32, 0, Secret{}}.encode(),
		revoke{"session", 1, math.MaxUint32, Secret{}}.encode()} {
		if r := do(t, m, epoch, cmd); r.status != statusFull || !bytes.Equal(snapshot(t, m), before) {
			t.Errorf("beyond the last id: %+v", r)
		}
	}
}

// commands has one of each kind.
var commands = map[string][]byte{
	"ensure":   ensure{"session", Secret{1}}.encode(),
	"rotate":   rotate{"session", 1, time.Hour, Secret{2}}.encode(),
	"activate": activate{"session", 2, time.Hour, day}.encode(),
	"retire":   retire{"session"}.encode(),
	"revoke":   revoke{"session", 1, 2, Secret{3}}.encode(),
}

func TestMalformedAndUnknownCommands(t *testing.T) {
	m := NewMachine()
	do(t, m, epoch, ensure{"session", Secret{1}}.encode())
	before := snapshot(t, m)
	bad := [][]byte{nil, ensure{"", Secret{}}.encode(),
		ensure{strings.Repeat("x", maxPurpose+1), Secret{}}.encode(),
		rotate{"session", 1, maxDuration + time.Second, Secret{}}.encode(),
		rotate{"session", 1, -time.Second, Secret{}}.encode(),
		activate{"session", 1, 0, maxDuration + time.Second}.encode()}
	for _, whole := range commands {
		bad = append(bad, append(bytes.Clone(whole), 0))
		for n := 1; n < len(whole); n++ {
			bad = append(bad, whole[:n])
		}
	}
	for _, cmd := range bad {
		if r := do(t, m, epoch, cmd); r.status != statusMalformed {
			t.Errorf("%x was accepted: %+v", cmd, r)
		}
	}
	for _, op := range []byte{0, opHighest + 1, 255} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var unknown fault.UnknownCommandError
				if !errors.As(err, &unknown) || unknown.Op != op || unknown.Index != 5 ||
					!errors.Is(err, fault.ErrVersion) {
					t.Errorf("panic with %v", err)
				}
			}()
			m.Apply(5, epoch, []byte{op})
		}()
	}
	if !bytes.Equal(snapshot(t, m), before) {
		t.Error("the state changed")
	}
}

// What programs of level 3 do not know must not get into their log.
func TestCommandLevel(t *testing.T) {
	for name, cmd := range commands {
		want := rotationLevel
		if name == "ensure" {
			want = 1
		}
		if got := CommandLevel(cmd); got != want {
			t.Errorf("%s needs level %d, want %d", name, got, want)
		}
	}
	if CommandLevel(nil) != 1 || CommandLevel([]byte{255}) != rotationLevel {
		t.Error("the machine itself, or an unknown command, needs another level")
	}
}

func TestStateAsText(t *testing.T) {
	for s := range stateNames {
		b, err := json.Marshal(s)
		var got State
		if err := errors.Join(err, json.Unmarshal(b, &got)); err != nil || got != s {
			t.Errorf("%v became %s and %v: %v", s, b, got, err)
		}
	}
	var s State
	if err := json.Unmarshal([]byte(`"asleep"`), &s); err == nil || State(77).String() != "state 77" {
		t.Error(s, err)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	f := newFarm(1)
	r := f.ring(0)
	if err := r.Ensure(t.Context(), "session"); err != nil {
		t.Fatal(err)
	}
	_, key, _ := r.Current("session")
	secret := Secret(key)
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("text", "secret", secret, "machine", f.nodes[0].machine, "group", struct{ S Secret }{secret})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", secret, "group", struct{ S Secret }{secret})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", secret, &secret, []Secret{secret})
		fmt.Fprintf(&out, verb+"\n", f.nodes[0].machine)
		fmt.Fprintf(&out, verb+"\n", f.nodes[0].machine.Snapshot())
	}
	b, err := json.Marshal(map[string]any{"s": secret})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%s %+v %v", b, f.nodes[0].machine.List(), decodeError(ensure{"session", secret}))
	decimal := strings.Trim(fmt.Sprint(key), "[]")
	for what, form := range map[string]string{
		"hex": fmt.Sprintf("%x", key), "HEX": fmt.Sprintf("%X", key), "decimal": decimal,
		"Go": strings.ReplaceAll(decimal, " ", ", "), "bytes": string(key), "quoted": fmt.Sprintf("%q", key),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the key shows as %s in\n%s", what, out.String())
		}
	}
}

func decodeError(c ensure) error {
	f := newFarm(1)
	f.answer = []byte{99}
	_, _, err := f.ring(0).propose(context.Background(), append(c.encode(), 0))
	return err
}
