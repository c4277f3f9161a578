package farm

import (
	"context"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// tagEpoch is gossiped by nodes that use releases: the number of the epoch in force. A node that is back in touch
// learns by it that it has missed a switch, before its log has come, and shows nobody what it had.
const tagEpoch = "epoch"

const (
	epochTick = 2 * time.Second
	// epochCounts is how long an epoch that a member shows counts. The log comes sooner; a member whose epoch is of
	// another life of the farm, before a backup was put back, must not keep others from serving.
	epochCounts = time.Minute
)

// shownEpoch is what an alive member shows, and since when this node knows it.
type shownEpoch struct {
	epoch uint64
	since time.Time
}

// tellEpoch gossips the epoch that this node knows, until Close.
func (f *Farm) tellEpoch() {
	told := uint64(0)
	for f.done.Err() == nil {
		news := f.configs.Changed()
		if now := f.knownEpoch(); now != told {
			if err := f.node.SetTag(tagEpoch, strconv.FormatUint(now, 10)); err != nil {
				f.log.Warn("gossip of the epoch in force failed", "err", err)
			}
			told = now
		}
		select {
		case <-news:
		case <-f.done.Done():
		}
	}
}

// knownEpoch returns the newest epoch in this node's log; 0 = there was none.
func (f *Farm) knownEpoch() uint64 {
	all := f.configs.Epochs()
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Number
}

// hearEpochs tells the releases what epochs others show, until Close.
func (f *Farm) hearEpochs() {
	ctx, cancel := context.WithCancel(f.done)
	defer cancel()
	states := make(chan cluster.State)
	f.wg.Go(func() {
		for st := range f.node.Watch(ctx) {
			select {
			case states <- st:
			case <-ctx.Done():
			}
		}
	})
	tick := time.NewTicker(epochTick)
	defer tick.Stop()
	shown := map[string]shownEpoch{}
	for {
		select {
		case st := <-states:
			shown = epochsOf(st, shown)
		case <-tick.C:
		case <-f.done.Done():
			return
		}
		for _, s := range shown {
			if time.Since(s.since) < epochCounts {
				f.configs.Saw(s.epoch)
			}
		}
	}
}

// epochsOf returns what the others show that are alive. What they showed before is known since then.
func epochsOf(st cluster.State, before map[string]shownEpoch) map[string]shownEpoch {
	now := map[string]shownEpoch{}
	for _, m := range st.Members {
		epoch, err := strconv.ParseUint(m.Tags[tagEpoch], 10, 64)
		if m.ID == st.Self || m.Status != cluster.Alive || err != nil {
			continue
		}
		now[m.ID] = before[m.ID]
		if s, ok := before[m.ID]; !ok || s.epoch != epoch {
			now[m.ID] = shownEpoch{epoch, time.Now()}
		}
	}
	return now
}
