package once

import (
	"context"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Owners look after each other in a ring: in the order of their names, each is watched by the next two. When
// one has ended for certain, as after a kill, a watcher puts that into the log at once. When one seems to be
// gone, or has not been heard of for long though others may wait for it, a watcher raises a suspicion, and
// has it expire if it does not answer. When both watchers of one are gone as well, others take their places
// as those are found out.

const (
	watchers       = 2
	challengeEvery = 5 * Patience // for one who holds what others wait for, and seems to be well
	lookEvery      = time.Second
)

// watched returns which of the owners one of them watches: those just before it in the ring.
func watched(owners []string, me string) []string {
	i, ok := slices.BinarySearch(owners, me)
	if !ok {
		return nil
	}
	var out []string
	for k := 1; k <= watchers && k < len(owners); k++ {
		out = append(out, owners[(i-k+len(owners))%len(owners)])
	}
	return out
}

// watchRing watches whoever is to be watched.
func (o *owner) watchRing() {
	watching := map[string]context.CancelFunc{}
	for {
		owners := o.c.cfg.Local().Owners()
		o.endEarlier(owners)
		now := watched(owners, o.id)
		for id, stop := range watching {
			if !slices.Contains(now, id) {
				stop()
				delete(watching, id)
			}
		}
		for _, id := range now {
			if watching[id] == nil {
				ctx, stop := context.WithCancel(o.ctx)
				watching[id] = stop
				o.c.spawn(func() { o.watch(ctx, id) })
			}
		}
		select {
		case <-o.ring:
		case <-time.After(challengeEvery): // a copy of the state may have been replaced
		case <-o.ctx.Done():
			return // and with it each watch
		}
	}
}

// endEarlier ends what this process was under other names, as an older copy of the state has it. Nobody else
// would: the process is there.
func (o *owner) endEarlier(owners []string) {
	for _, id := range owners {
		if id != o.id && runOf(id) == o.c.cfg.Run {
			o.c.spawn(func() { o.c.insist(o.ctx, state.End{ID: id}) })
		}
	}
}

// watch puts an owner's end into the log when it is known.
func (o *owner) watch(ctx context.Context, id string) {
	run, node := runOf(id), o.c.nodeOf(id)
	if run != o.c.cfg.Run { // else it was this node itself
		o.c.spawn(func() {
			if o.c.cfg.Ended(ctx, run) == nil {
				if a, err := o.c.insist(ctx, state.End{ID: id}); err == nil && a.Code == state.OK {
					o.c.counters.ended.Add(1)
					o.c.log.Info("a node has ended, and what it held is free", "node", node, "owner", id)
				}
			}
		})
	}
	heard, refuted := time.Now(), uint64(0)
	for sleep.For(ctx, lookEvery) {
		m := o.c.cfg.Local()
		its, ok := m.Owner(id)
		switch {
		case !ok: // the ring says when it is over
		case its.Refuted > refuted:
			heard, refuted = time.Now(), its.Refuted
		case !o.c.cfg.Alive(run), time.Since(heard) > challengeEvery && m.Blocks(id):
			o.challenge(ctx, id, node)
			heard = time.Now()
		}
	}
}

// challenge has an owner expire unless it says within Patience that it is there.
func (o *owner) challenge(ctx context.Context, id, node string) {
	a, err := o.c.do(ctx, state.Suspect{ID: id})
	if err != nil || a.Code != state.OK || !sleep.For(ctx, o.c.patience) {
		return
	}
	if its, ok := o.c.cfg.Local().Owner(id); !ok || its.Suspicion != a.Fence {
		return
	}
	a, err = o.c.do(ctx, state.Expire{ID: id, Suspicion: a.Fence})
	if err == nil && a.Code == state.OK {
		o.c.counters.expired.Add(1)
		o.c.log.Warn("a node has not been heard of, and what it held is free", "node", node, "owner", id)
	}
}

// nodeOf returns the name of an owner's node, for people; "" if there is no such owner.
func (c *Client) nodeOf(id string) string {
	its, _ := c.cfg.Local().Owner(id)
	return its.Node
}
