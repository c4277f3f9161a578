package configsync_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// shelf has any content, and counts what is fetched from it.
type shelf struct {
	m       *content.Manifest
	fetched atomic.Int64
	during  func() // called while something is fetched; nil = nothing
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	m, err := content.New([]content.File{{Path: "public/a.txt", Hash: blob.Sum(nil), Type: "text/plain"}}, nil,
		content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{m: m}
}

func (s *shelf) Fetch(context.Context, configsync.Content, func(have, size uint64)) (*content.Manifest,
	error) {
	s.fetched.Add(1)
	if s.during != nil {
		s.during()
	}
	return s.m, nil
}

func (s *shelf) Keep(_, _ []blob.Hash) {}

func (s *shelf) Open(blob.Hash) (blob.File, int64, error) { return nil, 0, blob.ErrMissing }

func (s *shelf) settings(set *configsync.Settings) { set.Farm, set.Content = "shop", s }

func newKey(t *testing.T, farm string) *credential.Key {
	t.Helper()
	k, err := credential.NewKey(farm, "ci", time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mint(t *testing.T, m *configsync.Manager, k *credential.Key) {
	t.Helper()
	c := configsync.Mint{Public: k.Public(), Name: k.Name, NotAfter: k.NotAfter}
	if err := m.Mint(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func sealOf(t *testing.T, k *credential.Key, root blob.Hash) string {
	t.Helper()
	s, err := k.Sign(credential.Order{Root: root, Key: "k", Made: time.Now().UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	return string(s.Seal)
}

func (n *labNode) publishContent(by *credential.Key, root blob.Hash, seal string) (configsync.Result, error) {
	p := configsync.Publication{Content: &configsync.Content{Root: root, Size: 1, Files: 1, Seal: seal},
		Publisher: by.ID()}
	p.Epoch = n.manager.Status().Epoch
	return n.manager.Publish(context.Background(), p)
}

// TestMintSaysWhatIsWrong: the log says only that it does not take something.
func TestMintSaysWhatIsWrong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := newLab(t, 1, nil).nodes[0].manager
		ci, other := newKey(t, "shop"), newKey(t, "shop")
		mint(t, m, ci)
		for says, c := range map[string]configsync.Mint{
			`already, as the credential "ci"`: {Public: ci.Public(), Name: "ci2", NotAfter: ci.NotAfter},
			"is over already":                 {Public: other.Public(), Name: "ci", NotAfter: time.Now().Add(-time.Hour)},
			"good for 366 days at most":       {Public: other.Public(), Name: "ci", NotAfter: time.Now().AddDate(3, 0, 0)},
			"spaces before or behind it":      {Public: other.Public(), Name: " ci", NotAfter: other.NotAfter},
			"who has at most 256 bytes": {Public: other.Public(), Name: "ci", NotAfter: other.NotAfter,
				Who: strings.Repeat("x", 257)},
		} {
			if err := m.Mint(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", says, err)
			}
		}
		mint(t, m, ci) // which may be repeated
		if n := len(m.Credentials()); n != 1 {
			t.Errorf("%d credentials", n)
		}
	})
}

// TestContentIsSigned: no node fetches what a publisher has not signed for this farm, with this root.
func TestContentIsSigned(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 3, s.settings)
		ci, elsewhere := newKey(t, "shop"), newKey(t, "shop2")
		mint(t, l.nodes[0].manager, ci)
		root := s.m.Root()
		for says, seal := range map[string]string{
			"nobody has signed it": "",
			"signed order":         "nonsense",
			"publisher has signed": sealOf(t, ci, blob.Sum([]byte("another"))),
			`for the farm "shop2"`: sealOf(t, elsewhere, root),
			"changed on the way":   strings.Replace(sealOf(t, ci, root), `"made":`, `"made":1`, 1),
		} {
			_, err := l.nodes[1].publishContent(ci, root, seal)
			if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", says, err)
			}
		}
		if n := s.fetched.Load(); n != 0 {
			t.Errorf("%d nodes have fetched something", n)
		}
		if r, err := l.nodes[1].publishContent(ci, root, sealOf(t, ci, root)); err != nil || r.Epoch != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		// Configuration alone keeps content and signature: also a node that comes late can use it.
		if _, err := l.nodes[0].publish(configsync.Plan{}, "site.yaml", "banner: b\n"); err != nil {
			t.Error(err)
		}
		late := &labNode{lab: l, name: "n4", settings: s.settings}
		l.mu.Lock()
		l.nodes = append(l.nodes, late)
		l.mu.Unlock()
		late.start()
		t.Cleanup(late.stop)
		if err := late.manager.AwaitUsable(t.Context()); err != nil {
			t.Error(err)
		}
		l.want("b")
	})
}

// TestRevokedOnAllNodesAtOnce: an entry of the log ends a credential, and what it is about to publish.
func TestRevokedOnAllNodesAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 3, s.settings)
		ci := newKey(t, "shop")
		mint(t, l.nodes[0].manager, ci)
		seal := sealOf(t, ci, s.m.Root())
		for _, n := range l.nodes {
			if signed, err := n.manager.Verify(t.Context(), []byte(seal)); err != nil || signed.Root != s.m.Root() {
				t.Errorf("%s: %v", n.name, err)
			}
		}
		n3 := l.nodes[2].manager
		s.during = func() { // while nodes fetch, one of them perhaps when all is over
			if err := n3.Revoke(context.Background(), ci.ID(), "bob", "leaked"); err != nil {
				t.Error(err)
			}
		}
		_, err := l.nodes[0].publishContent(ci, s.m.Root(), seal)
		if !errors.Is(err, configsync.ErrRefused) || !strings.Contains(err.Error(), "revoked") {
			t.Error(err)
		}
		for _, n := range l.nodes {
			if _, err := n.manager.Verify(t.Context(), []byte(seal)); !errors.Is(err, credential.ErrRevoked) {
				t.Errorf("%s: %v", n.name, err)
			}
			if _, err := n.publishContent(ci, s.m.Root(), seal); !errors.Is(err, credential.ErrRevoked) {
				t.Errorf("%s: %v", n.name, err)
			}
			if e := n.manager.Status().Epoch; e != 0 {
				t.Errorf("%s is in epoch %d", n.name, e)
			}
		}
		if all := l.nodes[1].manager.Credentials(); len(all) != 1 || all[0].RevokedBy != "bob" {
			t.Errorf("%+v", all)
		}
		if err := l.nodes[0].manager.Revoke(t.Context(), "none", "", ""); !errors.Is(err, credential.ErrUnknown) {
			t.Error(err)
		}
	})
}
