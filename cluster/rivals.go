package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// rivals are nodes that carry this one's name, or run on a copy of its data directory.
type rivals struct {
	*base
	handshakes *handshakes
	wake       chan struct{} // holds one: there may be one
}

// watch looks after another node that carries this one's name, or runs on a copy of its data directory. The
// one that started first goes on. But gossip may speak of a process that is long gone, so this node gives up
// only if the other one answers. It asks again, since the line between the two may be cut just now.
func (rv *rivals) watch() {
	for {
		select {
		case <-rv.wake:
		case <-rv.ctx.Done():
			return
		}
		for rv.endIfOlder() && sleep.For(rv.ctx, askRivals) {
		}
	}
}

const askRivals = 3 * time.Second

// endIfOlder makes this node give up if an older rival answers. It reports whether there is one that does
// not.
func (rv *rivals) endIfOlder() (unsure bool) {
	rivals := slices.DeleteFunc(rv.directory.Rivals(rv.cfg.Name, rv.id, rv.gossipName()),
		func(s *roster.Sighting) bool {
			return !rv.older(s) || s.Addr == rv.advertise // that address is this node's now
		})
	var live names
	atOnce(rivals, func(s *roster.Sighting) { live.set(s.Gossip, rv.lives(s)) })
	for _, s := range rivals {
		switch {
		case !live.has(s.Gossip):
			unsure = true
		case s.Node == rv.id && s.Name != rv.cfg.Name:
			rv.fail(fmt.Errorf("%w: %q at %s runs on the same data directory, copied", ErrNameTaken, s.Name,
				s.Addr))
		default:
			rv.fail(fmt.Errorf("%w: %q is at %s; give one of the two another Name", ErrNameTaken, s.Name,
				s.Addr))
		}
	}
	return unsure
}

func (rv *rivals) older(s *roster.Sighting) bool {
	return s.Start < rv.started || s.Start == rv.started && s.Gossip < rv.gossipName()
}

// lives asks the process behind a sighting, at its own address, whether it is that very run.
func (rv *rivals) lives(s *roster.Sighting) bool {
	ctx, cancel := context.WithTimeout(rv.ctx, dialTimeout)
	defer cancel()
	st, err := rv.handshakes.askStatus(ctx, s.Addr, s.Node)
	return err == nil && st.gossip == s.Gossip
}
