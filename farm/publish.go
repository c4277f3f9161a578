package farm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/sitefolder"
)

// ErrNotStaging is what Publish returns on a node whose role is not cluster.Staging.
var ErrNotStaging = errors.New("farm: only a staging node publishes: start one with -role staging, or use farmctl publish")

// Publication says how a site folder is published.
type Publication struct {
	// Who and Why are kept with the release: up to 256 and 1024 bytes. "" = the node's name, and the note of
	// release.yaml.
	Who, Why string

	// Plan says how it is rolled out; the zero Plan goes by the defaults.
	Plan configsync.Plan

	// Hold keeps the release for later.
	Hold bool

	// Overwrite has the folder's configuration count also where it undoes what was changed in the farm since the last
	// publication. Otherwise it is refused then.
	Overwrite bool

	// Excluded is told what of the folder was left out because nobody seems to want it published, such as .env; nil
	// tells nobody.
	Excluded func(path, why string)
}

// Publish makes a release of a site folder, has all nodes make it ready, and switches them to it at one index of the
// log, unless one refuses. The folder has public (served), config (configuration), and whatever else the program
// reads by FS; see docs/releasing.md. A part that is missing stays as it is in the farm. What is in force already is no new release.
//
// It is for a staging node, which signs by a key of its own: Dir/publisher.pem, or one of its memory.
//
// Errors: ErrNotStaging; content.Problems or configsync.Problems for what is wrong with the folder; blob.ErrNoRoom;
// those of configsync.Manager.Publish, such as a configsync.OverwriteError.
func (f *Farm) Publish(ctx context.Context, site fs.FS, p Publication) (res configsync.Result, err error) {
	if f.cfg.Role != cluster.Staging {
		return res, ErrNotStaging
	}
	s, err := f.readSite(ctx, site, nil, p.Excluded)
	if err != nil {
		return res, err
	}
	return f.publishRead(ctx, s, p)
}

// siteRead is a site folder as it was when it was read.
type siteRead struct {
	config configsync.Files // nil = it has none
	about  sitefolder.About
	m      *content.Manifest // its content, which is in the store; nil = it has none
}

// sameAs reports whether two folders say the same. nil is none.
func (s *siteRead) sameAs(o *siteRead) bool {
	return s != nil && (s.config == nil) == (o.config == nil) && maps.Equal(s.config, o.config) && s.about == o.about &&
		(s.m == nil) == (o.m == nil) && (s.m == nil || s.m.Source() == o.m.Source())
}

// readSite reads a site folder, and puts its content into this node's store. What before has of it, which is there, is
// not compressed again; nil = what is in force.
func (f *Farm) readSite(ctx context.Context, site fs.FS, before *content.Manifest,
	excluded func(path, why string)) (s siteRead, err error) {
	if s.config, err = sitefolder.Config(site); err != nil {
		return s, err
	}
	if s.about, err = sitefolder.ReadAbout(site); err != nil {
		return s, err
	}
	s.m, err = f.pack(ctx, site, cmp.Or(before, f.configs.View(ctx).Manifest), excluded)
	return s, err
}

// publishRead publishes what was read.
func (f *Farm) publishRead(ctx context.Context, s siteRead, p Publication) (res configsync.Result, err error) {
	pub := configsync.Publication{Config: s.config, Plan: p.Plan, Hold: p.Hold, Overwrite: p.Overwrite}
	key, err := f.publisherKey(ctx)
	if err != nil {
		return res, err
	}
	o := credential.Order{Key: rand.Text(), Made: time.Now().UnixMilli(), Who: p.Who,
		Why: cmp.Or(p.Why, s.about.Note), Program: s.about.Program, Hold: p.Hold, Overwrite: p.Overwrite}
	if o.Who == "" {
		st := f.node.State()
		self, _ := st.Member(st.Self)
		o.Who = self.Name
	}
	if s.m != nil {
		o.Root = s.m.Root()
	}
	if pub.Config != nil {
		o.Config = credential.FilesHash(pub.Config)
	}
	signed, err := key.Sign(o)
	if err != nil {
		return res, err
	}
	pub.Write = configsync.Write{Epoch: f.configs.Status().Epoch, Who: o.Who, Why: o.Why, Key: keyOf(signed)}
	pub.Publisher, pub.Program = signed.By.ID(), s.about.Program
	if s.m != nil {
		pub.Content = contentOf(s.m, signed.Seal)
	}
	return f.configs.Publish(ctx, pub)
}

// contentOf names a content that is signed for.
func contentOf(m *content.Manifest, seal []byte) *configsync.Content {
	return &configsync.Content{Root: m.Root(), Source: m.Source(), Manifest: uint64(m.Size()), Size: uint64(m.Bytes()),
		Files: uint64(len(m.Files)), Seal: string(seal)}
}

// pack puts the content of a site folder into this node's store, durably; nil if there is none.
func (f *Farm) pack(ctx context.Context, site fs.FS, before *content.Manifest, excluded func(path, why string)) (
	*content.Manifest, error) {
	m, err := content.Pack(ctx, site, adding{f.contents.store}, content.PackConfig{Excluded: excluded, Previous: before})
	if err != nil || len(m.Files)+len(m.Dirs) == 0 {
		return nil, err
	}
	return m, f.contents.store.Sync()
}

// adding is a store whose blobs become durable later, all at once. It is a content.Sink.
type adding struct{ *blob.Store }

// Put adds a blob.
func (a adding) Put(ctx context.Context, want blob.Hash, r io.Reader) (blob.Hash, error) {
	return a.Store.Add(ctx, want, r)
}

const (
	publisherFile = "publisher.pem"      // in Dir
	publisherLife = 365 * 24 * time.Hour // after which a staging node makes itself another key

	// memoryLife is the same without Dir: each start makes a key, and only so many may be good at a time.
	memoryLife = 3 * 24 * time.Hour
)

// publisherKey returns the key by which this node signs what it publishes, which the farm knows.
func (f *Farm) publisherKey(ctx context.Context) (*credential.Key, error) {
	f.publisherMu.Lock()
	defer f.publisherMu.Unlock()
	key := f.publisher
	if key == nil && f.cfg.Dir != "" {
		var err error
		if key, err = credential.Read(filepath.Join(f.cfg.Dir, publisherFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if key == nil || time.Until(key.NotAfter) < 24*time.Hour {
		var err error
		if key, err = f.newPublisherKey(); err != nil {
			return nil, err
		}
	}
	if err := f.configs.Mint(ctx, configsync.Mint{Name: key.Name, Public: key.Public(), NotAfter: key.NotAfter,
		Who: key.Name}); err != nil {
		return nil, fmt.Errorf("the farm does not take this node's key: %w", err)
	}
	f.publisher = key
	return key, nil
}

func (f *Farm) newPublisherKey() (*credential.Key, error) {
	st := f.node.State()
	self, _ := st.Member(st.Self)
	life := publisherLife
	if f.cfg.Dir == "" {
		life = memoryLife
	}
	key, err := credential.NewKey(f.cfg.Farm, "staging "+self.Name, time.Now().Add(life).Truncate(time.Second))
	if err != nil || f.cfg.Dir == "" {
		return key, err
	}
	return key, os.WriteFile(filepath.Join(f.cfg.Dir, publisherFile), key.Encode(), 0o600)
}
