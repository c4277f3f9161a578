package configsync

import (
	"context"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// FS returns all files of the content as a context sees it, also those that are not served, such as templates: of
// a request, that in force when it came in. Without content there are none.
func (m *Manager) FS(ctx context.Context) fs.FS {
	if s := m.switching.seen(ctx); s.staged.shown != nil {
		return s.staged.shown.files
	}
	return m.supply.nothing
}

// Content returns the handler that serves the folder public of the content, as the request sees it: put it inside
// of Handler. With Settings.Pins, what a page needs comes from the release that the page is of.
func (m *Manager) Content() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := m.switching.seen(r.Context()); s.set != nil {
			s.set.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

// Repin returns next with the pins of clients kept for pages that the program writes itself; see content.Set. Put it
// inside of Handler.
func (m *Manager) Repin(next http.Handler) http.Handler {
	if m.settings.Pins == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := m.switching.seen(r.Context()); s.set != nil {
			s.set.Repin(w, r)
		}
		next.ServeHTTP(w, r)
	})
}

// setOf returns what serves the content of a snapshot, and what pages of other releases need that are ready
// here; nil if it has no content.
func (sw *switching) setOf(source *state.State, s *snapshot) *content.Set {
	if s.staged.shown == nil {
		return nil
	}
	u := s.use
	if u.release.ID == source.Current().Release {
		u.since = source.Since() // or who has a page of a canary by its date would keep that when it has ended
	}
	out := &content.Set{Active: s.staged.shown.as(u, source.Turn()), Pins: sw.settings.Pins,
		Private: source.Canary().Rollout != 0, Share: sw.shareOf(source)}
	for _, r := range source.Retained() {
		st := sw.stock.get(source.Digest(r))
		if r.ID == s.release.ID || st == nil || st.shown == nil ||
			source.Disowned(r) && r.ID != source.Canary().Release {
			continue
		}
		out.Others = append(out.Others, st.shown.as(lastUse(source, r), source.Turn()))
	}
	return out
}

// as returns the site as what a switch made of it.
func (s *shown) as(u use, turn uint64) *content.Site {
	return s.site.As(content.Activation{ID: nameOf(u.release.ID), Epoch: u.epoch, Turn: turn, Activated: u.since})
}

// nameOf returns the number of a release as pins have it.
func nameOf(release uint64) string { return strconv.FormatUint(release, 10) }

// seen returns the snapshot that a context has; the newest, if it has none.
func (sw *switching) seen(ctx context.Context) *snapshot {
	if v, ok := ctx.Value(viewKey{}).(*view); ok && v.in == sw {
		return v.snapshot
	}
	return sw.now.Load()
}

// View is what a request, or a job, sees of the release.
type View struct {
	Epoch    uint64 // 0 = nothing was in force
	Release  Release
	Canary   bool              // Release is a canary's, for this node or a share of the clients, and not that of Epoch
	Preview  bool              // Release is not in force: see WithPreview
	Since    time.Time         // when it was switched to, from the log
	Manifest *content.Manifest // of the content; nil = the release has none
}

// View returns what a context sees: a request what was in force when it came in. A context without a view has
// the newest.
func (m *Manager) View(ctx context.Context) View {
	s := m.switching.seen(ctx)
	v := View{Epoch: s.epoch, Release: s.release, Canary: s.canary, Preview: s.preview, Since: s.since}
	if s.staged.shown != nil {
		v.Manifest = s.staged.shown.manifest
	}
	return v
}
