package configsync_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestPreviewEnds: with the credential, since whoever has stolen that may have made it; and when the nodes do not keep
// the release any more, of which there is no preview from the start.
func TestPreviewEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newShelf(t)
		l := newLab(t, 2, s.settings)
		m := l.nodes[1].manager
		ci, other := newKey(t, "shop"), newKey(t, "shop")
		hold := func(by *credential.Key, banner string) (uint64, [32]byte) {
			t.Helper()
			mint(t, m, by)
			r, err := l.nodes[1].folder(t, by, s, func(p *configsync.Publication) { p.Hold = true },
				configsync.Files{"site.yaml": "banner: " + banner + "\n"})
			if err != nil {
				t.Fatal(err)
			}
			digest, err := m.Digest(r.Release)
			if err != nil {
				t.Fatal(err)
			}
			return r.Release, digest
		}
		shows := func(release uint64, digest [32]byte, want error) {
			t.Helper()
			time.Sleep(2 * time.Minute) // until it is ready
			r := httptest.NewRequest("GET", "/", nil)
			seen, err := m.WithPreview(r, release, digest)
			if !errors.Is(err, want) || want == nil && seen == r {
				t.Errorf("release %d: %v; want %v", release, err, want)
			}
			if _, err := m.Digest(release); !errors.Is(err, want) {
				t.Errorf("the digest of release %d: %v; want %v", release, err, want)
			}
		}
		stolen, d1 := hold(ci, "Stolen")
		good, d2 := hold(other, "Good")
		shows(stolen, d1, nil)
		if err := m.Revoke(t.Context(), ci.ID(), "bob", "stolen"); err != nil {
			t.Fatal(err)
		}
		shows(stolen, d1, credential.ErrRevoked)
		shows(good, d2, nil)
		for _, banner := range []string{"A", "B", "C"} {
			hold(other, banner)
		}
		shows(good, d2, configsync.ErrNoRelease)
	})
}

// TestDraftIsKept: what somebody works on stays on the node, until there is another draft.
func TestDraftIsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDepot()
		l := newLab(t, 1, func(s *configsync.Settings) { s.Content = d })
		kept := func(m *content.Manifest) bool {
			time.Sleep(2 * time.Second)
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.Contains(d.keep, m.Root())
		}
		draft := func(text string) *content.Manifest {
			t.Helper()
			c := d.add(t, "public/a.txt", text)
			m, err := d.Fetch(t.Context(), *c, func(uint64, uint64) {})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.nodes[0].manager.Draft(t.Context(), nil, m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		one := draft("one")
		if !kept(one) {
			t.Error("the draft may go")
		}
		if two := draft("two"); !kept(two) || kept(one) {
			t.Error("the draft may go, or the one before stays")
		}
	})
}
