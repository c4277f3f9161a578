package farmctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// sampleViews are what three members say: n2 is behind, and n3 has another key 4 of app.
func sampleViews() []view {
	at := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	info := func(purpose string, id uint32, s keyring.State, created, signed, ended time.Duration,
		fp string) keyring.Info {
		k := keyring.Info{Purpose: purpose, ID: id, State: s, Created: at.Add(created), Fingerprint: fp}
		if signed != 0 {
			k.Signed = at.Add(signed)
		}
		if ended != 0 {
			k.Ended = at.Add(ended)
		}
		return k
	}
	all := []keyring.Info{
		info("app", 2, keyring.Revoked, -300*day, -300*day, -5*time.Hour, ""),
		info("app", 4, keyring.Signing, -5*time.Hour, -5*time.Hour, 0, "aaaa"),
		info("session", 7, keyring.Accepting, -91*day, -91*day, 13*time.Hour, "bbbb"),
		info("session", 8, keyring.Signing, -day, -11*time.Hour, 0, "cccc"),
		info("session", 9, keyring.Pending, -time.Minute, 0, 0, "dddd"),
	}
	other := append([]keyring.Info{}, all...)
	other[1].Fingerprint = "eeee"
	return []view{{"n1", 100, at, all}, {"n2", 90, at, all[:4]}, {"n3", 99, at, other}}
}

func sampleKeys() keyList {
	l := keyList{Level: 4, Unasked: []unaskedKey{{"n4", "it is dead"}}}
	l.merge(sampleViews())
	return l
}

func TestPrintKeys(t *testing.T) {
	var out bytes.Buffer
	l := sampleKeys()
	if err := l.print(&out); err != nil {
		t.Fatal(err)
	}
	old := keyList{Level: 3}
	old.merge([]view{{"n1", 1, sampleViews()[0].at, sampleViews()[0].keys[3:4]}})
	if err := old.print(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "keys.txt", out.Bytes())
}

// What is revoked, and what is said of it before, for each way to say it.
func TestToRevoke(t *testing.T) {
	for _, c := range []struct {
		word string
		want order.Keys
		says string // or the error
	}{
		{"session", order.Keys{Do: order.Revoke, Purpose: "session", From: 1, To: 9}, "logged out"},
		{"session/8", order.Keys{Do: order.Revoke, Purpose: "session", From: 8, To: 8}, "since 11 h ago) ends"},
		{"session/9", order.Keys{Do: order.Revoke, Purpose: "session", From: 9, To: 9}, "has not signed yet"},
		{"app", order.Keys{Do: order.Revoke, Purpose: "app", From: 1, To: 4}, "nobody can read that again"},
		{"app/2", order.Keys{Do: order.Revoke, Purpose: "app", From: 2, To: 2}, "nothing, it is over"},
		{"app/3", order.Keys{}, `no key "3" of "app"`},
		{"app/x", order.Keys{}, `no key "x"`},
		{"app/99999999999", order.Keys{}, `no key "9`},
		{"pins", order.Keys{}, `no keys for "pins"`},
		{"pins/1", order.Keys{}, `no keys for "pins"`},
	} {
		var said bytes.Buffer
		k := &keysCall{call: &call{console: console{name: "farmctl", err: &said}}, list: sampleKeys()}
		got, err := k.toRevoke(c.word)
		if err == nil {
			k.sayWhatEnds(got)
		} else {
			said.WriteString(err.Error())
			if codeOf(err) != codeRefused {
				t.Errorf("%s: code %d", c.word, codeOf(err))
			}
		}
		if got != c.want || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: %+v, %q; want %+v, %q", c.word, got, said.String(), c.want, c.says)
		}
	}
}

func TestKeysUsage(t *testing.T) {
	clean(t)
	t.Setenv("FARM_JOIN", "127.0.0.1:1")
	for args, code := range map[string]int{
		"keys dance": codeUsage, "keys rotate": codeUsage, "keys revoke": codeUsage, "keys -all": codeUsage,
		"keys revoke -all session": codeUsage, "keys": codeUnreachable, "keys rotate session": codeUnreachable,
		"keys revoke -all -yes": codeUnreachable,
	} {
		if got := ctl(t, strings.Fields(args)...); got.code != code || got.err == "" {
			t.Errorf("%s: %+v, want code %d", args, got, code)
		}
	}
	// words of other programs
	for _, word := range []string{"drain", "keys", "keys ", "keys []", "keyS {}"} {
		if k, ok := order.ParseKeys(word); ok {
			t.Errorf("%q is %+v", word, k)
		}
	}
	want := order.Keys{Do: "revoke", Purpose: "a \"b\"\n", From: 1, To: 2}
	if got, ok := order.ParseKeys(want.Word()); !ok || got != want {
		t.Errorf("%+v %v", got, ok)
	}
}

// openFarm opens a node of a whole farm, as open does.
func openFarm(t *testing.T, c farm.Config) *farm.Farm {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Join == nil {
		c.Cluster.Expect = 1
	}
	c.HTTP, c.Admin, c.Peer = farm.None, farm.None, "127.0.0.1:0"
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Secrets = []string{testSecret}
	f, err := farm.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ci.Awaited(t, "ready", f.Ready(ctx))
	return f
}

var testSecret = admin.NewSecret()

func TestKeysOfAFarm(t *testing.T) {
	clean(t)
	t.Setenv("FARM_SECRET", testSecret)
	a := openFarm(t, farm.Config{Name: "a"})
	t.Setenv("FARM_JOIN", a.Cluster().Addr())
	b := openFarm(t, farm.Config{Name: "b", Join: []string{a.Cluster().Addr()}})

	protected, err := a.Protect("note", []byte("text"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var list keyList
	listed := func() string {
		t.Helper()
		got := want(t, codeDone, "", "keys", "-json")
		if err := json.Unmarshal([]byte(got.out), &list); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, k := range list.Keys {
			all = append(all, k.Purpose+" "+k.State.String()+lackedBy(k.Lacking))
		}
		return strings.Join(all, ", ")
	}
	settles := func(want string) { // each node applies what is decided in its own moment
		t.Helper()
		for end := time.Now().Add(time.Minute); listed() != want && time.Now().Before(end); {
		}
		if got := listed(); got != want {
			t.Error(got)
		}
	}
	got := listed()
	if got != "app signing, config signing, session signing" || list.Level < keysLevel || len(list.Unasked) > 0 {
		t.Errorf("%s, %+v", got, list)
	}
	print := want(t, codeDone, list.Keys[0].Fingerprint, "keys").out
	if !strings.Contains(print, "LACKED BY") {
		t.Error(print)
	}

	want(t, codeRefused, "no keys", "keys", "rotate", "dance")
	want(t, codeRefused, "no key of session is pending", "keys", "proceed", "session", "-yes")
	file := filepath.Join(t.TempDir(), "keys.backup")
	want(t, codeDone, "", "backup", file)
	want(t, codeDone, "Key 2 of session signs from now on", "keys", "rotate", "session")
	if got = listed(); got != "app signing, config signing, session accepting, session signing" {
		t.Error(got) // a key signs only when all hold it
	}
	want(t, codeUsage, "say -yes", "keys", "revoke", "session/1")
	said := want(t, codeUsage, "say -yes", "keys", "revoke", "-all").err
	if !strings.Contains(said, "logged out") || !strings.Contains(said, "nobody can read") ||
		!strings.Contains(said, "cannot be taken back") {
		t.Error(said)
	}
	var change keyChange
	out := want(t, codeDone, `"signing":2`, "keys", "revoke", "session/1", "-yes", "-json").out
	err = json.Unmarshal([]byte(out), &change)
	if err != nil || change.Done != "revoke" || change.Purpose != "session" {
		t.Errorf("%+v, %v", change, err)
	}
	want(t, codeDone, "Key 3 of session signs", "keys", "revoke", "-all", "-yes")
	settles("app revoked, app signing, config signing, session revoked, session revoked, session signing")
	for _, f := range []*farm.Farm{a, b} {
		ci.Awaited(t, "all that was acknowledged", f.Cluster().Handle("keyring").Barrier(t.Context()))
		if _, err := f.Unprotect(t.Context(), "note", protected, nil); err == nil {
			t.Error("what a revoked key has protected can be read")
		}
	}
	for id := range uint32(4) {
		if _, ok := b.Keys().Key("session", id); ok != (id == 3) {
			t.Errorf("key %d: %v", id, ok)
		}
	}

	// a backup brings back what was revoked since, and takes the newer keys away
	later, err := b.Protect("note", []byte("later"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, codeDone, "", "restore", file, "-yes")
	wantSoon(t, codeDone, `"quorum":true`, "members", "-json")
	settles("app signing, config signing, session signing")
	ci.Awaited(t, "the backup", a.Cluster().Handle("keyring").Barrier(t.Context()))
	if text, err := a.Unprotect(t.Context(), "note", protected, nil); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	want(t, codeDone, "Key 2 of app signs from now on", "keys", "rotate", "app")
	if _, err := a.Unprotect(t.Context(), "note", later, nil); !errors.Is(err, keyring.ErrExpired) {
		t.Errorf("of a key whose id another one has now: %v", err)
	}
}

// lackedBy is said behind a key that some nodes do not hold.
func lackedBy(nodes []string) string {
	if len(nodes) == 0 {
		return ""
	}
	return " lacked by " + strings.Join(nodes, " and ")
}

// A node of a program without keys is no node that lacks them.
func TestKeysOfAnotherProgram(t *testing.T) {
	clean(t)
	open(t, cluster.Config{Name: "n1"})
	want(t, codeFailed, "no key ring", "keys")
}
