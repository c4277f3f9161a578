package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/farm/internal/sitefolder"
)

// site is what is published.
type site struct {
	*spool
	config   map[string]string // nil = there is none, and that in force stays
	manifest *content.Manifest // nil = there is none, and that in force stays
	program  string            // that it needs
	note     string
	excluded []excluded
}

// readSite reads a site's folder, or a tar archive of one on standard input for "-".
func (c *publishCall) readSite(ctx context.Context, from string) (_ *site, err error) {
	sp, err := newSpool()
	if err != nil {
		return nil, err
	}
	s := &site{spool: sp}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if from == "-" {
		archive, err := content.ReadTar(ctx, c.in, "", content.Limits{})
		if err != nil {
			return nil, fmt.Errorf("%w; tar c -C site . makes one that is taken", wrongSite(err))
		}
		defer archive.Close()
		return s, c.pack(ctx, s, archive.FS)
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, fmt.Errorf("%w: give the folder of a site, or - for a tar archive on standard input", err)
	}
	defer root.Close()
	return s, c.pack(ctx, s, root.FS())
}

// wrongSite is the error for a site that no farm would take.
func wrongSite(err error) error {
	if ps, ok := errors.AsType[configsync.Problems](err); ok {
		return fmt.Errorf("%w: %w", errWrong, ps)
	}
	if errors.Is(err, content.ErrRefused) || errors.Is(err, content.ErrArchive) {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	return err
}

// strayFile returns a file that lies in no folder, if nothing of a content is public; else "".
func strayFile(m *content.Manifest) (stray string) {
	for _, f := range m.Files {
		folder, _, within := strings.Cut(f.Path, "/")
		switch {
		case within && folder == "public":
			return ""
		case !within && stray == "":
			stray = f.Path
		}
	}
	if slices.Contains(m.Dirs, "public") {
		return ""
	}
	return stray
}

func (c *publishCall) pack(ctx context.Context, s *site, folder fs.FS) error {
	about, err := sitefolder.ReadAbout(folder)
	if err != nil {
		return wrongSite(err)
	}
	s.program, s.note = about.Program, about.Note
	config, err := sitefolder.Config(folder)
	if err != nil {
		return wrongSite(err)
	}
	if config != nil {
		s.config = config
	}
	m, err := content.Pack(ctx, folder, s.spool, content.PackConfig{Include: c.include, Exclude: c.exclude,
		HardLinks: c.hardLinks, Excluded: func(path, why string) {
			s.excluded = append(s.excluded, excluded{path, why})
		}})
	if err != nil {
		return wrongSite(err)
	}
	if len(m.Files) > 0 || len(m.Dirs) > 0 {
		s.manifest = m
	}
	if s.manifest == nil && s.config == nil {
		return usage("there is nothing to publish: a site has files in public or other folders, or config")
	}
	if stray := strayFile(m); s.config == nil && stray != "" {
		return usage("this is no site's folder: it has neither public nor config, and %q would be shown to nobody; what "+
			"visitors are to see goes into a folder public", stray)
	}
	return nil
}
