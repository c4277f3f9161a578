package configsync

import (
	"context"
	"net/http"

	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// Draft makes files of configuration and a content ready on this node alone, for WithDraft: what somebody works on. nil
// files, or a nil manifest, are those in force; the blobs of the content are here already. Nothing gets into the log, and
// no hook runs. What is wrong is returned, as for a release, and the draft before stays.
func (m *Manager) Draft(ctx context.Context, files Files, manifest *content.Manifest) error {
	now := m.refresh()
	if files == nil {
		files = inForce(now.source)
	} else if err := m.Check(files); err != nil {
		return err
	}
	values, err := call(ctx, &m.strays, errand{what: "values", limit: codeTime},
		func(context.Context) ([]*value, error) { return m.values(files) }, nil)
	if err != nil {
		m.sayPanic("checking the configuration", err)
		return err
	}
	shown := now.staged.shown
	if manifest != nil {
		shown = m.show(manifest)
		if err := m.checkContent(ctx, "content of a draft", shown); err != nil {
			return err
		}
	}
	m.draft.Store(&staged{values: values, shown: shown})
	return nil
}

// WithDraft returns a request that sees the draft of this node, as WithPreview has one see a release; false if there is
// none.
func (m *Manager) WithDraft(r *http.Request) (*http.Request, bool) {
	st := m.draft.Load()
	if st == nil {
		return r, false
	}
	source := m.refresh().source
	s := newSnapshot(source, st, use{epoch: source.Current().Number, preview: true}, nil)
	s.set = previewSet(st, Release{})
	return r.WithContext(&view{Context: r.Context(), manager: m, snapshot: s, path: clean(r.URL.Path), preview: true}), true
}
