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

// supply brings content to this node, says which of it has to stay, and makes what serves it.
type supply struct {
	*base
	cache   *content.Cache
	nothing fs.FS       // without files
	kept    []blob.Hash // what Contents was told to keep: of the goroutine that calls keep
}

func newSupply(b *base) (*supply, error) {
	none, err := content.New(nil, nil, content.Limits{})
	if err != nil {
		return nil, fmt.Errorf("configsync: no content: %w", err)
	}
	return &supply{base: b, cache: content.NewCache(0), nothing: content.NewFS(none, b.settings.Content)}, nil
}

// fetch returns the manifest of a content when all of it is here; nil for none.
func (su *supply) fetch(ctx context.Context, c Content, tell func(NodeProgress)) (*content.Manifest, error) {
	switch {
	case c.Root.IsZero():
		return nil, nil
	case su.settings.Content == nil:
		return nil, errors.New("this program takes none")
	}
	manifest, err := su.settings.Content.Fetch(ctx, c, func(have, size uint64) {
		tell(NodeProgress{Have: have, Size: size})
	})
	if err == nil && (manifest == nil || manifest.Root() != c.Root) {
		err = errors.New("another manifest than was asked for")
	}
	return manifest, err
}

// keep says which content has to stay, if that has changed: of releases, and of a draft; nil = there is none.
func (su *supply) keep(draft *staged) {
	if su.settings.Content == nil {
		return
	}
	roots := su.state().Roots()
	if draft != nil && draft.shown != nil && !slices.Contains(roots, draft.shown.manifest.Root()) {
		roots = append(roots, draft.shown.manifest.Root())
	}
	manifests := manifestsOf(su.state())
	if all := slices.Concat(roots, []blob.Hash{{}}, manifests); !slices.Equal(all, su.kept) {
		su.kept = all
		su.settings.Content.Keep(roots, manifests)
	}
}

// shown is the content of a release that is ready here.
type shown struct {
	manifest *content.Manifest
	site     *content.Site
	files    fs.FS
}

// show makes what serves a content; nil for none.
func (su *supply) show(manifest *content.Manifest) *shown {
	if manifest == nil {
		return nil
	}
	failed := func(path string, err error) {
		su.log.Error("a file of the content cannot be read", "path", path, "err", err)
	}
	site := content.NewSite(manifest, su.settings.Content, content.SiteConfig{Cache: su.cache, Failed: failed})
	return &shown{manifest, site, content.NewFS(manifest, su.settings.Content)}
}

// checkContent has the program look at a content; of is what it is of, whose calls that hang are counted.
func (su *supply) checkContent(ctx context.Context, of string, s *shown) error {
	if s == nil || su.settings.CheckContent == nil {
		return nil
	}
	err := su.askProgram(ctx, errand{what: of, limit: codeTime}, func(ctx context.Context) error {
		return su.settings.CheckContent(ctx, s.files)
	})
	su.sayPanic("checking the content", err)
	return err
}

// manifestHere returns the manifest of a content, if this node has it; that of none is empty.
func (su *supply) manifestHere(c Content) (*content.Manifest, error) {
	if c.Root.IsZero() {
		return &content.Manifest{}, nil
	}
	return content.Stored(su.settings.Content.Open, c.Root)
}

// signed returns nil if the publisher of a content has signed it for this farm. It is asked before anything
// is fetched. Whether the credential may publish is decided by the log, when it is published: a node that
// comes later has to be able to use what is in force.
func (su *supply) signed(c Content) error {
	if su.settings.Farm == "" || c.Root.IsZero() {
		return nil
	}
	if c.Seal == "" {
		return fmt.Errorf("%w: nobody has signed it", credential.ErrSignature)
	}
	s, err := credential.Open(su.settings.Farm, []byte(c.Seal))
	if err != nil {
		return err
	}
	return s.FitsContent(c.Root)
}
