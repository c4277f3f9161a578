package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func newTrust(t *testing.T, farm string, secrets ...string) *Trust {
	t.Helper()
	tr, err := New(farm, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const testSecret = "Wb2Zt8mWcV0u1K1cVhQb1cB0hVw3x1mX7kYd0mC2q3E"

// The derivation is a wire format: nodes of different builds must agree. These values may never change.
func TestDerivationIsFixed(t *testing.T) {
	tr := newTrust(t, "shop", testSecret)
	const wantGossip = "b460d718d5bccaa12acb7be8c144a6c3860df99f7567fd046cb57182a4ba415d"
	if got := hex.EncodeToString(tr.GossipKeys()[0]); got != wantGossip {
		t.Errorf("gossip key %s, want %s", got, wantGossip)
	}
	const wantCA = "b0adb25d04603c47dceae1f276f20303f837b526"
	if got := hex.EncodeToString(tr.signer.cert.SubjectKeyId); got != wantCA {
		t.Errorf("authority %s, want %s", got, wantCA)
	}
}

func TestSameSecretSameKeys(t *testing.T) {
	a, b := newTrust(t, "shop", testSecret), newTrust(t, "shop", " "+testSecret+"\n")
	if !bytes.Equal(a.signer.cert.Raw, b.signer.cert.Raw) {
		t.Error("two nodes computed different authorities from one secret")
	}
	if !bytes.Equal(a.GossipKeys()[0], b.GossipKeys()[0]) {
		t.Error("two nodes computed different gossip keys from one secret")
	}
}

func TestKeysDiffer(t *testing.T) {
	seen := make(map[string]string)
	note := func(what string, key []byte) {
		if other, ok := seen[string(key)]; ok {
			t.Errorf("%s and %s are the same key", what, other)
		}
		seen[string(key)] = what
	}
	for _, c := range []struct{ name, farm, secret string }{
		{"shop", "shop", testSecret},
		{"other farm", "depot", testSecret},
		{"other secret", "shop", NewSecret()},
	} {
		tr := newTrust(t, c.farm, c.secret)
		note(c.name+" gossip", tr.GossipKeys()[0])
		note(c.name+" authority", tr.signer.key.Seed())
	}
	note("loopback gossip", newTrust(t, "shop").GossipKeys()[0])
}

func TestGossipKeysOfAllSecrets(t *testing.T) {
	one, two := NewSecret(), NewSecret()
	both := newTrust(t, "shop", one, two, one)
	keys := both.GossipKeys()
	if len(keys) != 2 {
		t.Fatalf("%d keys of two different secrets", len(keys))
	}
	if !bytes.Equal(keys[0], newTrust(t, "shop", one).GossipKeys()[0]) ||
		!bytes.Equal(keys[1], newTrust(t, "shop", two).GossipKeys()[0]) {
		t.Error("keys are not in the order of the secrets")
	}
	if len(keys[0]) != 32 {
		t.Errorf("a key of %d bytes, want 32 for AES-256", len(keys[0]))
	}
	clear(keys[0])
	if bytes.Equal(keys[0], both.GossipKeys()[0]) {
		t.Error("GossipKeys handed out its own memory")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		farm    string
		secrets []string
		want    string
	}{
		"no farm":      {"", nil, "farm's name"},
		"long farm":    {strings.Repeat("x", 129), nil, "farm's name"},
		"empty secret": {"shop", []string{""}, "secret 1 of 1 is empty"},
		"second weak":  {"shop", []string{NewSecret(), "hunter2"}, "secret 2 of 2"},
	} {
		_, err := New(c.farm, c.secrets)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestWeakSecretSaysWhatToDo(t *testing.T) {
	_, err := New("shop", []string{"correct horse battery staple"})
	if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") {
		t.Errorf("error %v does not say how to make a secret", err)
	}
	if strings.Contains(err.Error(), "horse") {
		t.Error("the error tells the secret")
	}
}

func TestIdentityRefusesBadID(t *testing.T) {
	tr := newTrust(t, "shop")
	for _, id := range []string{"", strings.Repeat("x", 129)} {
		if _, err := tr.Identity(id); err == nil {
			t.Errorf("NodeID of %d bytes taken", len(id))
		}
	}
	if errors.Is(ErrWrongFarm, ErrWrongSecret) {
		t.Error("sentinels are not distinct")
	}
}
