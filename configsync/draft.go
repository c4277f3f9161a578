package configsync

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// Draft makes ready what somebody works on: files of configuration and a content, on this node alone, for WithDraft.
// nil files, or a nil manifest, are those in force. The blobs of the content are here already. Nothing gets into the
// log, and no hook runs. What is wrong is returned, as for a release, and the draft before stays.
func (m *Manager) Draft(ctx context.Context, files Files, manifest *content.Manifest) error {
	return m.drafts.draw(ctx, files, manifest)
}

// drafts has what somebody works on, on this node alone.
type drafts struct {
	*base
	reading   *reading
	supply    *supply
	switching *switching
	now       atomic.Pointer[staged] // nil = nothing
}

// draw is Manager.Draft.
func (dr *drafts) draw(ctx context.Context, files Files, manifest *content.Manifest) error {
	now := dr.switching.refresh()
	if files == nil {
		files = inForce(now.source)
	} else if err := dr.reading.check(dr.state(), files); err != nil {
		return err
	}
	values, err := dr.reading.valuesInTime(ctx, files)
	if err != nil {
		dr.sayPanic("checking the configuration", err)
		return err
	}
	shown := now.staged.shown
	if manifest != nil {
		shown = dr.supply.show(manifest)
		if err := dr.supply.checkContent(ctx, "content of a draft", shown); err != nil {
			return err
		}
	}
	dr.now.Store(&staged{values: values, shown: shown})
	return nil
}

// WithDraft returns a request that sees the draft of this node, as WithPreview has one see a release; false if there is
// none.
func (m *Manager) WithDraft(r *http.Request) (*http.Request, bool) {
	st := m.drafts.now.Load()
	if st == nil {
		return r, false
	}
	source := m.switching.refresh().source
	return m.switching.preview(r, previewOf(st, source, Release{})), true
}
