package cluster

import (
	"context"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// profile is what this node says of itself by gossip. All that changes in it has a lock of its own, or is
// atomic. Only spread has gossip send it, because two updates at once replace each other, and neither waits
// to be sent.
type profile struct {
	*base
	gossip      func() *gossip
	endFounding func() // the farm may have a second member now
	askStatus   func(ctx context.Context, addr, node string) (status, error)

	tags       tags
	wake       chan struct{}      // holds one: gossip must carry a new profile
	asked      chan chan struct{} // closed once gossip has carried the present one
	toldSecond atomic.Bool        // gossip has been told that the farm has a second member
	toldLevel  atomic.Uint32      // the level in force that gossip has been told
}

func newProfile(b *base) *profile {
	return &profile{base: b, tags: tags{of: b.cfg.Tags}, wake: make(chan struct{}, 1),
		asked: make(chan chan struct{})}
}

func (p *profile) bytes() []byte {
	m := p.withTags(p.tags.all())
	return m.Append(nil)
}

// withTags returns what this node says of itself by gossip, with such tags.
func (p *profile) withTags(tags map[string]string) roster.Meta {
	in := p.inst.Load()
	id, bye := p.standing.Identity(), p.departure.now()
	second := id.ClusterID != "" && !id.Founding || in.fsm.Shared()
	return roster.Meta{MinProtocol: in.fsm.Level(), MaxProtocol: p.hooks.maxLevel, Durable: p.durable(),
		Second:   second,
		Retiring: bye.retires, Leaving: bye.leaves, Stopped: bye.over, ForGood: bye.removed,
		Goodbye: bye.last,
		Role:    string(p.cfg.Role),
		Cluster: id.ClusterID, Incarnation: id.Incarnation, Boot: id.Boot, Start: p.started, Name: p.cfg.Name,
		Version: p.cfg.Version, Tags: tags}
}

// follow has gossip say what the state has come to, if that is news: that the farm has a second member, and
// the level in force.
func (p *profile) follow(f *replica.State) {
	if f.Shared() && p.toldSecond.CompareAndSwap(false, true) {
		p.change()
	}
	if level := uint32(f.Level()); p.toldLevel.Load() != level {
		p.toldLevel.Store(level)
		p.change()
		p.changed.Notify()
	}
}

func (p *profile) change() { signal(p.wake) }

// spread gossips changed metadata.
func (p *profile) spread() {
	for {
		select {
		case <-p.wake:
			p.endFounding()
			// an error says that it took longer to spread; it still does
			p.gossip().list.UpdateNode(noticePatience)
		case told := <-p.asked:
			p.gossip().list.UpdateNode(noticePatience)
			close(told)
		case <-p.ctx.Done():
			return
		}
	}
}
