package configsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// ringLog is the log of a key ring of one node.
type ringLog struct {
	machine *keyring.Machine
	index   atomic.Uint64
}

func (l *ringLog) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	i := l.index.Add(1)
	return i, l.machine.Apply(i, time.Unix(int64(i), 0), cmd), nil
}
func (l *ringLog) Wait(context.Context, uint64) error   { return nil }
func (l *ringLog) Barrier(context.Context) error        { return nil }
func (l *ringLog) Applied() uint64                      { return l.index.Load() }
func (l *ringLog) Spread(context.Context, uint64) error { return nil }
func (l *ringLog) Staleness() time.Duration             { return 0 }
func (l *ringLog) Level() int                           { return 4 }

func ringOf(m *keyring.Machine) *keyring.Ring {
	return keyring.New(&ringLog{machine: m}, func() *keyring.Machine { return m })
}

// newRing returns a ring with a key for secrets.
func newRing(t testing.TB) *keyring.Ring {
	t.Helper()
	r := ringOf(keyring.NewMachine())
	if err := r.Ensure(t.Context(), configsync.KeyPurpose); err != nil {
		t.Fatal(err)
	}
	return r
}

// rekey has the next key sign.
func rekey(t *testing.T, r *keyring.Ring) {
	t.Helper()
	id, _, _ := r.Current(configsync.KeyPurpose)
	next, err := r.Rotate(t.Context(), configsync.KeyPurpose, id)
	if err = errors.Join(err, r.Proceed(t.Context(), configsync.KeyPurpose, next, time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func seal(t *testing.T, m *configsync.Manager, field, text string) string {
	t.Helper()
	token, err := m.Seal("site", field, text)
	if err != nil {
		t.Fatal(err)
	}
	return "{$secret: " + token + "}"
}

func tokenOf(m *configsync.Manager) string {
	return site.Get(m.Context(context.Background())).Token.Reveal()
}

func TestSecretIsSealed(t *testing.T) {
	f, ring := newFarm(2), newRing(t)
	a, b := f.open(t, 0, configsync.Settings{Keys: ring}), f.open(t, 1, configsync.Settings{Keys: ring})
	one, two, same := seal(t, a, "token", "finch-1"), seal(t, a, "token", "finch-2"), seal(t, b, "token", "finch-1")
	if one == same || one[:30] != same[:30] || one[:30] == two[:30] || strings.Contains(one, "finch") {
		t.Errorf("sealed:\n%s\n%s\n%s", one, two, same)
	}
	put(t, a, "site.yaml", "token: "+one+"\npaths: {/x/: {token: "+two+"}}\n")
	put(t, b, "nodes/n2/site.yaml", "token: null\n", "roles/front/site.json", `{"token": `+
		strings.Replace(strings.Replace(two, "{$secret: ", `{"$secret": "`, 1), "}", `"}`, 1)+`}`)
	if x, y := tokenOf(a), tokenOf(b); x != "finch-1" || y != "" {
		t.Errorf("a has %q, b %q", x, y)
	}
	put(t, a, "site.yaml", "token: "+same+"\n")
	ds, err := a.Diff(2, 3)
	if err != nil || len(ds) != 3 || ds[0].Section != "/x/" || !ds[0].Secret ||
		ds[0].New != `"secret `+one[13:29]+`"` {
		t.Errorf("%+v %v", ds, err)
	}
	if ds, err = a.Diff(0, 0); err != nil || len(ds) != 0 {
		t.Errorf("%+v %v", ds, err)
	}
	why, err := a.Explain(configsync.Question{Config: "site", Field: "token", Node: "n5", Role: "front"})
	if s := fmt.Sprintf("%+v", why); err != nil || len(why) != 1 || len(why[0].Sources) != 2 || !why[0].Secret ||
		!strings.Contains(s, `"secret `+two[13:29]+`"`) || strings.Contains(s, "finch") {
		t.Errorf("%s %v", s, err)
	}
}

func TestSecretIsRefused(t *testing.T) {
	f, ring := newFarm(1), newRing(t)
	m := f.open(t, 0, configsync.Settings{Keys: ring})
	good := seal(t, m, "token", "finch")
	strange, err := open(t, configsync.Settings{Configs: []configsync.Declared{site}, Keys: newRing(t)}).Seal("site",
		"token", "finch")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := open(t, configsync.Settings{Configs: []configsync.Declared{twin}, Keys: ring}).Seal("twin", "token",
		"finch")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"token: finch":                                            "site.yaml:1:8: token: is a secret in plain text",
		"token: [finch]":                                          "set it by farmctl config secret site token",
		"paths: {/x/: {token: finch}}":                            `paths."/x/".token: is a secret in plain text`,
		"token: {$secret: finch}":                                 "site.yaml:1:18: token: is no sealed secret",
		"token: {$secret: " + strange + "}":                       "token: was sealed with a key that was revoked, or in another farm",
		"token: {$secret: " + twin + "}":                          "token: was sealed for another field, or has been changed",
		"token: " + good[:len(good)-3] + "}":                      "token: ",
		"token: " + strings.Replace(good, good[14:18], "0000", 1): "token: was sealed for another field",
		"banner: " + good:                                         "banner: is a map; it takes text",
	} {
		err := tryPut(m, "site.yaml", text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "finch") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, c := range [][3]string{{"site", "banner", "x"}, {"sit", "token", "x"}, {"site", "tokn", "x"},
		{"site", "token", ""}, {"site", "token", "\xff"}, {"site", "token", strings.Repeat("x", 16<<10+1)},
		{"site", "a..b", "x"}} {
		if token, err := m.Seal(c[0], c[1], c[2]); err == nil {
			t.Errorf("%.20q: %s", c, token)
		}
	}
	if m.Status().Epoch != 0 {
		t.Errorf("%+v", m.Status())
	}
	if _, err := open(t, configsync.Settings{Configs: []configsync.Declared{site}}).Seal("site", "token",
		"x"); err == nil {
		t.Error("sealed without a key ring")
	}
}

// twin has a field of the same name as site has.
var twin = configsync.NewConfig("twin", struct{ Token configsync.Secret }{})

func TestSecretsOutliveTheirKeys(t *testing.T) {
	f, ring := newFarm(1), newRing(t)
	m := f.open(t, 0, configsync.Settings{Keys: ring})
	text := "# mine\ntoken: " + seal(t, m, "token", "finch") + " # the bank's\nbanner: x\n"
	put(t, m, "site.yaml", text)
	rekey(t, ring)
	files, _, _ := m.Files(0)
	again, err := m.Reseal(files)
	if err != nil || again["site.yaml"] == text || !strings.HasPrefix(again["site.yaml"], "# mine\ntoken: {$secret: s1.") ||
		!strings.Contains(again["site.yaml"], "} # the bank's\nbanner: x\n") || fmt.Sprint(m.KeysInUse()) != "[1]" {
		t.Fatalf("%v %v %v", again, m.KeysInUse(), err)
	}
	put(t, m, "site.yaml", again["site.yaml"])
	if fmt.Sprint(m.KeysInUse()) != "[2]" {
		t.Errorf("keys %v are in use", m.KeysInUse())
	}
	if ds, err := m.Diff(1, 2); err != nil || len(ds) != 0 {
		t.Errorf("sealed anew: %+v %v", ds, err)
	}
	if _, err := ring.Revoke(t.Context(), configsync.KeyPurpose, 1, 1); err != nil {
		t.Fatal(err)
	}
	later := f.open(t, 0, configsync.Settings{Keys: ring})
	if tokenOf(later) != "finch" {
		t.Errorf("after its first key was revoked: %q", tokenOf(later))
	}
	_, err = later.Rollback(t.Context(), configsync.Write{Epoch: 2}, 1)
	if err == nil || !strings.Contains(err.Error(), "was sealed with a key that was revoked") {
		t.Errorf("back to a key that is over: %v", err)
	}
	if ds, err := later.Diff(1, 2); err != nil || len(ds) != 1 || !ds[0].Secret || ds[0].Old == ds[0].New {
		t.Errorf("what cannot be opened any more: %+v %v", ds, err)
	}
	if _, err := m.Reseal(files); err == nil {
		t.Error("sealed anew what cannot be opened")
	}
}

// TestKeyThatComesLater has a node that is given the files before it has the key.
func TestKeyThatComesLater(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, machine := newFarm(2), keyring.NewMachine()
		ring := ringOf(machine)
		if err := ring.Ensure(t.Context(), configsync.KeyPurpose); err != nil {
			t.Fatal(err)
		}
		m := f.open(t, 0, configsync.Settings{Keys: ring})
		put(t, m, "site.yaml", "token: "+seal(t, m, "token", "finch"))
		late := keyring.NewMachine()
		n := f.open(t, 1, configsync.Settings{Keys: ringOf(late)})
		if err := n.Usable(); err == nil || !strings.Contains(err.Error(), "does not have the key yet") {
			t.Errorf("without the key: %v", err)
		}
		var b bytes.Buffer
		machine.Snapshot().WriteTo(&b)
		if err := late.Restore(&b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := n.Usable(); err != nil || tokenOf(n) != "finch" {
			t.Errorf("with the key: %v, token %q", err, tokenOf(n))
		}
		n.Close()
		m.Close()
	})
}

func TestOperatorsKeys(t *testing.T) {
	f, ring := newFarm(1), newRing(t)
	old, next := strings.Repeat("old ", 8), strings.Repeat("next", 8)
	with := func(keys ...string) *configsync.Manager {
		return f.open(t, 0, configsync.Settings{Keys: ring, ConfigKeys: keys})
	}
	m := with(old)
	put(t, m, "site.yaml", "token: "+seal(t, m, "token", "finch"))
	for _, n := range []*configsync.Manager{with(), with(next)} {
		if err := n.Usable(); err == nil || !strings.Contains(err.Error(), "which this node was not given") {
			t.Errorf("without the operators' key: %v", err)
		}
	}
	both := with(next, old)
	files, _, _ := both.Files(0)
	again, err := both.Reseal(files)
	if err != nil {
		t.Fatal(err)
	}
	put(t, both, "site.yaml", again["site.yaml"])
	if n := with(next); tokenOf(n) != "finch" {
		t.Errorf("by the new key: %q, %v", tokenOf(n), n.Usable())
	}
	if n := with(old); n.Usable() == nil {
		t.Error("the old key opens what the new one has sealed")
	}
	if _, err := configsync.New(configsync.Settings{ConfigKeys: []string{"short"}}); err == nil ||
		strings.Contains(err.Error(), "short") {
		t.Errorf("a short key: %v", err)
	}
}

func TestSecretInDevelopment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	replace(t, file, "token: finch\nbanner: x\n")
	m := open(t, configsync.Settings{Configs: []configsync.Declared{site}, Path: file})
	if tokenOf(m) != "finch" {
		t.Errorf("token %q", tokenOf(m))
	}
	if why, err := m.Explain(configsync.Question{Config: "site"}); err != nil ||
		strings.Contains(fmt.Sprintf("%+v", why), "finch") {
		t.Errorf("%+v %v", why, err)
	}
}

// guarded has something to say of its secret.
type guarded struct{ Key configsync.Secret }

func (g guarded) Validate() error {
	if g.Key.IsZero() {
		return errors.New("there is no key")
	}
	if !strings.HasPrefix(g.Key.Reveal(), "sk_") {
		return errors.New("the key does not begin with sk_")
	}
	return nil
}

type guards struct{ Bank *guarded }

var bank = configsync.NewConfig("bank", guards{})

func TestCheckWithoutKeys(t *testing.T) {
	m := open(t, configsync.Settings{Configs: []configsync.Declared{bank}, Keys: newRing(t)})
	token, err := m.Seal("bank", "bank.key", "no")
	if err != nil {
		t.Fatal(err)
	}
	files := configsync.Files{"bank.yaml": "bank: {key: {$secret: " + token + "}}\n"}
	if err := m.Check(files); err == nil || !strings.Contains(err.Error(), "does not begin with sk_") {
		t.Errorf("with keys: %v", err)
	}
	if err := configsync.Check(files, bank); err != nil {
		t.Errorf("without keys: %v", err)
	}
	for text, want := range map[string]string{"bank: {}": "there is no key", "bank: {key: sk_1}": "in plain text",
		"bank: {key: {$secret: x}}": "is no sealed secret"} {
		err := configsync.Check(configsync.Files{"bank.yaml": text}, bank)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sk_1") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestKeysOfACanaryAreInUse(t *testing.T) {
	f, ring := newFarm(1), newRing(t)
	m := f.open(t, 0, configsync.Settings{Keys: ring})
	put(t, m, "site.yaml", "token: "+seal(t, m, "token", "finch"))
	rekey(t, ring)
	w := configsync.Write{Epoch: 1}
	held, err := m.Publish(t.Context(), configsync.Publication{Write: w, Hold: true,
		Config: configsync.Files{"site.yaml": "token: " + seal(t, m, "token", "finch") + "\n"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = m.StartCanary(t.Context(), w, held.Release, []string{"n1"}, configsync.Plan{}); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(m.KeysInUse()); s != "[1 2]" {
		t.Errorf("keys %s are in use", s)
	}
}
