package configsync

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Digest names what a release consists of. Every node has to keep the release still, so that it can be previewed.
// Digests are equal only for releases of equal files, content and needs.
//
// Errors: ErrNoRelease; credential.ErrRevoked, for one that was never in force.
func (m *Manager) Digest(release uint64) (digest [32]byte, err error) {
	s := m.state()
	r, err := kept(s, release)
	if err != nil {
		return digest, err
	}
	return s.Digest(r), nil
}

// kept returns a release whose content every node keeps, and that somebody may show still.
func kept(s *state.State, release uint64) (Release, error) {
	all := s.Retained()
	i := slices.IndexFunc(all, func(r Release) bool { return r.ID == release })
	switch {
	case i < 0:
		return Release{}, fmt.Errorf("%w: the nodes do not keep release %d: farmctl releases lists those that they keep; "+
			"one that is gone has to be published again", ErrNoRelease, release)
	case s.Disowned(all[i]):
		return Release{}, fmt.Errorf("%w: release %d was published with it", credential.ErrRevoked, release)
	}
	return all[i], nil
}

// WithPreview returns a request that sees a release which is kept and not in force, as if it were: its content, and
// its values of all configs, for Get and for Load. Handler leaves the request as it is. The caller has made sure that
// the client may see it. The digest is that of Digest: a number of another log is not taken for this one's. The
// program's hooks have no part in it. If the release is in force by now, the request is returned as it is.
//
// Errors: ErrNoRelease, if the nodes do not keep the release any more; credential.ErrRevoked, if it was published with
// a credential that was revoked, and was never in force; ErrBehind, if this node is not ready for it yet; or why this
// program cannot use it.
func (m *Manager) WithPreview(r *http.Request, release uint64, digest [32]byte) (*http.Request, error) {
	s, err := m.previewing.snapshot(release, digest)
	if err != nil || s == nil {
		return r, err
	}
	return m.switching.preview(r, s), nil
}

// previewing has requests see a release that is not in force.
type previewing struct {
	*base
	switching *switching
	stock     *stock
	previews  *previews
}

// snapshot returns the snapshot of a release that is not in force; nil if it is.
func (pv *previewing) snapshot(release uint64, want digest) (*snapshot, error) {
	now := pv.switching.refresh()
	source := now.source
	r, ok := source.Release(release)
	if !ok || source.Digest(r) != want {
		return nil, noRelease(release)
	}
	if in, _ := source.For(pv.settings.Node); in.ID == r.ID {
		return nil, nil
	}
	if _, err := kept(source, release); err != nil {
		return nil, err
	}
	st := pv.stock.get(want)
	switch {
	case st == nil:
		return nil, fmt.Errorf("%w: release %d is to be previewed", ErrBehind, release)
	case st.wrong != nil:
		return nil, st.wrong
	}
	return pv.previews.get(st, source, r), nil
}

// previewOf returns a snapshot of what is ready and not in force.
func previewOf(st *staged, source *state.State, r Release) *snapshot {
	s := newSnapshot(source, st, use{epoch: source.Current().Number, release: r, preview: true}, nil)
	s.set = previewSet(st, r)
	return s
}

// previewSet serves the content of a preview alone: nobody is pinned to it, and nothing comes from another release.
func previewSet(st *staged, r Release) *content.Set {
	if st.shown == nil {
		return nil
	}
	return &content.Set{Active: st.shown.as(use{release: r}, 0), Private: true}
}

// previews are the snapshots of releases that somebody looks at and that are not in force, of one state of the log: who
// looks twice has the same. The zero previews has none.
type previews struct {
	mu sync.Mutex
	of map[digest]*snapshot // guarded by mu
}

// get returns the snapshot of a release, and makes it if there is none of this state.
func (p *previews) get(st *staged, source *state.State, r Release) *snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of[st.digest]; s != nil && s.source == source {
		return s
	}
	if p.of == nil {
		p.of = map[digest]*snapshot{}
	}
	s := previewOf(st, source, r)
	p.of[st.digest] = s
	return s
}

// keepOf forgets the snapshots of other states.
func (p *previews) keepOf(source *state.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.of, func(_ digest, s *snapshot) bool { return s.source != source })
}
