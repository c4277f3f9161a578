package configsync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
)

// fetch returns the manifest of a content when all of it is here; nil for none.
func (m *Manager) fetch(ctx context.Context, c Content, tell func(NodeProgress)) (*content.Manifest, error) {
	switch {
	case c.Root.IsZero():
		return nil, nil
	case m.s.Content == nil:
		return nil, errors.New("this program takes none")
	}
	manifest, err := m.s.Content.Fetch(ctx, c, func(have, size uint64) {
		tell(NodeProgress{Have: have, Size: size})
	})
	if err == nil && (manifest == nil || manifest.Root() != c.Root) {
		err = errors.New("another manifest than was asked for")
	}
	return manifest, err
}

// keepContent says which content has to stay, if that has changed: of releases, and of what somebody works on here.
func (m *Manager) keepContent() {
	if m.s.Content == nil {
		return
	}
	roots := m.s.Local().State().Roots()
	if st := m.draft.Load(); st != nil && st.shown != nil && !slices.Contains(roots, st.shown.manifest.Root()) {
		roots = append(roots, st.shown.manifest.Root())
	}
	manifests := manifestsOf(m.s.Local().State())
	if all := slices.Concat(roots, []blob.Hash{{}}, manifests); !slices.Equal(all, m.kept) {
		m.kept = all
		m.s.Content.Keep(roots, manifests)
	}
}

// shown is the content of a release that is ready here.
type shown struct {
	manifest *content.Manifest
	site     *content.Site
	files    fs.FS
}

// show makes what serves a content; nil for none.
func (m *Manager) show(manifest *content.Manifest) *shown {
	if manifest == nil {
		return nil
	}
	site := content.NewSite(manifest, m.s.Content, content.SiteConfig{Cache: m.cache, Failed: func(path string, err error) {
		m.log.Error("a file of the content cannot be read", "path", path, "err", err)
	}})
	return &shown{manifest, site, content.NewFS(manifest, m.s.Content)}
}

// checkContent has the program look at a content; of is what it is of, whose calls that hang are counted.
func (m *Manager) checkContent(ctx context.Context, of string, s *shown) error {
	if s == nil || m.s.CheckContent == nil {
		return nil
	}
	_, err := call(ctx, &m.strays, errand{what: of, limit: codeTime}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.s.CheckContent(ctx, s.files)
	}, nil)
	m.sayPanic("checking the content", err)
	return err
}

// manifestHere returns the manifest of a content, if this node has it; that of none is empty.
func (m *Manager) manifestHere(c Content) (*content.Manifest, error) {
	if c.Root.IsZero() {
		return &content.Manifest{}, nil
	}
	return content.Stored(m.s.Content.Open, c.Root)
}

// signed returns nil if the publisher of a content has signed it for this farm. It is asked before anything
// is fetched. Whether the credential may publish is decided by the log, when it is published: a node that
// comes later has to be able to use what is in force.
func (m *Manager) signed(c Content) error {
	if m.s.Farm == "" || c.Root.IsZero() {
		return nil
	}
	if c.Seal == "" {
		return fmt.Errorf("%w: nobody has signed it", credential.ErrSignature)
	}
	s, err := credential.Open(m.s.Farm, []byte(c.Seal))
	if err != nil {
		return err
	}
	return s.FitsContent(c.Root)
}
