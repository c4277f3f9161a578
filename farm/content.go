package farm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/swarm"
	"github.com/seed48eb2e21/webfarm/configsync/content"
)

// protoContent is the protocol by which nodes take blobs from each other.
const protoContent = "bulk-content"

const (
	sweepEvery = time.Hour
	sweepGrace = time.Hour        // so long a blob stays that nothing needs any more
	sweepSoon  = 10 * time.Minute // the same where there is no room for what is needed
	scrubOver  = 24 * time.Hour   // within which every blob is read once
)

// contents keeps the content of releases on this node, and brings it there. It is a configsync.Contents.
type contents struct {
	f       *Farm
	store   *blob.Store
	fetcher *swarm.Fetcher
	roster  swarm.Roster
	kept    chan keeping     // has room for one: the newest
	cramped chan chan<- bool // who needs room, and is told when there is as much as can be
	soon    time.Duration    // sweepSoon
}

// openContents opens the store: in Dir, or in a temporary folder.
func openContents(f *Farm) (*contents, error) {
	dir := ""
	if f.cfg.Dir != "" {
		dir = filepath.Join(f.cfg.Dir, "content")
	}
	store, err := blob.OpenStore(blob.StoreConfig{Dir: dir, Quota: f.cfg.ContentQuota,
		Corrupt: func(h blob.Hash, err error) {
			f.log.Error("content is damaged on this disk; it is fetched again", "blob", h, "err", err)
		}})
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	f.openUploads(store)
	c := &contents{f: f, store: store, kept: make(chan keeping, 1), cramped: make(chan chan<- bool), soon: sweepSoon}
	c.fetcher = swarm.NewFetcher(swarm.FetcherConfig{Store: store, Peers: c.roster.Present,
		Dial: func(ctx context.Context, peer string) (net.Conn, error) {
			return f.node.Dial(ctx, peer, protoContent)
		}})
	return c, nil
}

// start runs what is waited for by the Farm's Close.
func (c *contents) start() {
	h := swarm.NewHandler(c.store, swarm.HandlerConfig{Peer: cluster.PeerID})
	c.f.wg.Go(func() { h.Serve(c.f.done, c.f.node.Listener(protoContent)) })
	c.f.wg.Go(c.watchPeers)
	c.f.wg.Go(c.sweep)
	c.f.wg.Go(c.scrub)
	c.f.wg.Go(func() {
		c.fetcher.Repair(c.f.done, func(err error) { c.f.log.Error("content is missing on this node", "err", err) })
	})
}

func (c *contents) close() error {
	c.fetcher.Close()
	return c.store.Close()
}

// watchPeers keeps the list of those who may have content.
func (c *contents) watchPeers() {
	changes := c.f.node.Watch(c.f.done)
	for st := range changes {
		var ids []string
		for _, m := range st.Members {
			if m.ID != st.Self && m.Status == cluster.Alive && m.Tags[tagReleases] != "" {
				ids = append(ids, m.ID)
			}
		}
		c.roster.Set(ids)
	}
}

// Fetch returns the manifest of a content once all of it is here.
func (c *contents) Fetch(ctx context.Context, of configsync.Content, progress func(have, size uint64)) (
	*content.Manifest, error) {
	if err := c.fetch(ctx, []blob.Ref{{Hash: of.Root, Size: int64(of.Manifest)}}, nil); err != nil {
		return nil, err
	}
	m, err := c.manifest(of.Root)
	if err != nil {
		return nil, err
	}
	refs := m.Refs()
	var size int64
	for _, r := range c.store.Missing(refs) {
		size += r.Size
	}
	if err := c.makeRoom(ctx, size); err != nil {
		return nil, err
	}
	if err := c.fetch(ctx, refs, progress); err != nil {
		return nil, err
	}
	return m, nil
}

// fetch has the store have all of refs. Whoever has it may be out of reach for a moment: the error is
// configsync.ErrUnavailable then.
func (c *contents) fetch(ctx context.Context, refs []blob.Ref, progress func(have, size uint64)) error {
	tell := func(p swarm.Progress) {
		if progress != nil {
			progress(uint64(p.Bytes), uint64(p.TotalBytes))
		}
	}
	err := c.fetcher.Fetch(ctx, refs, tell)
	if errors.Is(err, swarm.ErrUnavailable) && ctx.Err() == nil {
		c.f.log.Warn("content is not to be had at the moment; trying again", "err", err)
		err = fmt.Errorf("%w: %w", configsync.ErrUnavailable, err)
	}
	return err
}

// manifest returns the manifest that the store has.
func (c *contents) manifest(root blob.Hash) (*content.Manifest, error) {
	return content.Stored(c.store.Open, root)
}

// Open opens a blob.
func (c *contents) Open(h blob.Hash) (blob.File, int64, error) { return c.store.Open(h) }

// keeping is what has to stay: contents by their roots, and manifests alone.
type keeping struct{ roots, manifests []blob.Hash }

// Keep is told which content has to stay, and of which the manifest alone.
func (c *contents) Keep(roots, manifests []blob.Hash) {
	for {
		select {
		case c.kept <- keeping{roots, manifests}:
			return
		default:
		}
		select {
		case <-c.kept: // nobody has looked at the last one
		default:
		}
	}
}

// makeRoom returns nil if there is room for so many bytes, also once what nothing needs is gone: drafts of a staging node
// must not have it refuse what the whole farm waits for.
func (c *contents) makeRoom(ctx context.Context, bytes int64) error {
	err := c.store.Room(bytes)
	if !errors.Is(err, blob.ErrNoRoom) {
		return err
	}
	swept := make(chan bool, 1)
	select {
	case c.cramped <- swept:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.f.done.Done():
		return err
	}
	select {
	case <-swept:
		return c.store.Room(bytes)
	case <-ctx.Done():
		return ctx.Err()
	case <-c.f.done.Done():
		return err
	}
}

// sweep removes what no release that is kept consists of.
func (c *contents) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var keep keeping
	known := false
	for {
		var swept chan<- bool
		grace := sweepGrace
		select {
		case keep = <-c.kept:
			known = true
			continue
		case swept = <-c.cramped:
			grace = c.soon
		case <-tick.C:
		case <-c.f.done.Done():
			return
		}
		if c.upToDate() {
			select {
			case keep = <-c.kept:
				known = true
			default:
			}
			if known {
				c.sweepOnce(keep, grace)
			}
		}
		if swept != nil {
			swept <- true
		}
	}
}

// sweepOnce removes what was not wanted for that long, and need not stay.
func (c *contents) sweepOnce(stays keeping, grace time.Duration) {
	keep, ok := c.needed(stays.roots)
	if !ok {
		return
	}
	for _, root := range stays.manifests {
		keep[root] = true
	}
	wanted := func(h blob.Hash) bool { return keep[h] || c.f.uploads.Keeps(h) }
	if freed, err := c.store.Sweep(c.f.done, wanted, grace); err != nil {
		c.f.log.Warn("removing old content failed", "err", err)
	} else if freed > 0 {
		c.f.log.Info("old content was removed", "bytes", freed)
	}
}

// rootsCome is within which a Manager has said what has to stay, after the log has said it.
const rootsCome = 3 * time.Second

// upToDate reports whether what has to stay is known. A node that has started and finds no majority knows of no
// releases: it must not remove what all of them consist of.
func (c *contents) upToDate() bool {
	ctx, cancel := context.WithTimeout(c.f.done, proveTimeout)
	defer cancel()
	if c.f.node.Handle(machineConfig).Barrier(ctx) != nil {
		return false
	}
	select {
	case <-time.After(rootsCome):
		return true
	case <-c.f.done.Done():
		return false
	}
}

// needed returns the blobs of all these contents; false if one of them is not all known here, so that nothing can be
// removed.
func (c *contents) needed(roots []blob.Hash) (keep map[blob.Hash]bool, ok bool) {
	keep = map[blob.Hash]bool{}
	for _, root := range roots {
		keep[root] = true
		m, err := c.manifest(root)
		if errors.Is(err, blob.ErrMissing) {
			continue // then what it consists of is not here for its sake
		}
		if err != nil {
			c.f.log.Warn("old content is not removed: a manifest cannot be read", "root", root, "err", err)
			return nil, false
		}
		for _, r := range m.Refs() {
			keep[r.Hash] = true
		}
	}
	return keep, true
}

// scrub reads all blobs again and again.
func (c *contents) scrub() {
	for c.f.done.Err() == nil {
		select {
		case <-time.After(sweepEvery):
		case <-c.f.done.Done():
			return
		}
		if _, err := c.store.Scrub(c.f.done, scrubOver); err != nil && c.f.done.Err() == nil {
			c.f.log.Warn("checking the content failed", "err", err)
		}
	}
}
