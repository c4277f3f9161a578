package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// raiseAfter is for how long every member must have spoken a level before the leader raises it to that by
// itself. The time is measured by the monotonic clock of the node that leads, from the moment when that node
// first saw it. A restart of the leader begins the day anew, and so does an old member that shows up. A wrong
// date does not shorten it.
const raiseAfter = 24 * time.Hour

// levels is what the members speak, as one node sees it.
type levels struct {
	force  byte     // the level in force
	common byte     // the highest that every member speaks
	most   byte     // the highest that any member speaks
	behind []string // names of those who do not speak most, with what they speak
	absent bool     // some configured member is not alive now
}

// leveling keeps what the members speak, has the level raised, and refuses those who do not speak it. What it
// remembers is in spoken, which has a lock of its own.
type leveling struct {
	*base
	members *members
	reads   *reads
	spoken  spoken
}

// look collects what the members speak. These are all of the configuration, and all live ones that are about
// to come into it. Of those that are down it is what they spoke when they were seen last.
func (lv *leveling) look() levels {
	in := lv.instance()
	v := levels{force: in.fsm.Level(), common: lv.hooks.maxLevel, most: lv.hooks.maxLevel}
	speaks, names, absent := lv.spokenBy(in)
	v.absent = absent
	for _, m := range speaks {
		v.common, v.most = min(v.common, m), max(v.most, m)
	}
	for _, node := range sortedKeys(speaks) {
		switch m := speaks[node]; {
		case m == 0:
			v.behind = append(v.behind, fmt.Sprintf("node %s, not seen so far", node))
			v.absent = true
		case m < v.most:
			v.behind = append(v.behind, fmt.Sprintf("%s, which speaks up to %d", names[node], m))
		}
	}
	v.common = max(v.common, v.force)
	slices.Sort(v.behind)
	return v
}

// spokenBy returns the highest level that each member speaks, 0 if it was never seen, and its name, by
// NodeID; and whether a configured one is known not to be alive.
func (lv *leveling) spokenBy(in *instance) (speaks map[string]byte, names map[string]string, absent bool) {
	speaks, names = map[string]byte{}, map[string]string{}
	for _, srv := range in.configuration().Servers {
		speaks[wire.NodeOf(string(srv.ID))] = 0 // until it is seen below
	}
	for _, s := range lv.members.all() {
		if _, configured := speaks[s.Node]; configured || s.Status == roster.Alive {
			speaks[s.Node], names[s.Node] = s.MaxProtocol, s.Name
			absent = absent || configured && s.Status != roster.Alive
		}
	}
	speaks[lv.id], names[lv.id] = lv.hooks.maxLevel, lv.cfg.Name
	return speaks, names, absent
}

// below returns the members that were seen and do not speak a level, with what they speak.
func (lv *leveling) below(level byte) (behind []string) {
	speaks, names, _ := lv.spokenBy(lv.instance())
	for _, node := range sortedKeys(speaks) {
		if m := speaks[node]; m > 0 && m < level {
			behind = append(behind, fmt.Sprintf("%s, which speaks up to %d", names[node], m))
		}
	}
	slices.Sort(behind)
	return behind
}

// Finalize puts the highest protocol level in force that all members speak, and returns the level in force.
// From then on no node can go back to a program that does not speak it. Any node may be asked. It changes
// nothing if there is nothing higher; the error wraps ErrHeldBack, and names the members, if some speak a
// higher level and others do not.
//
// A farm whose members all speak a level does this by itself after 24 hours.
func (n *Node) Finalize(ctx context.Context) (level int, err error) {
	level, err = n.leveling.finalize(ctx)
	if err != nil {
		return level, fmt.Errorf("cluster: finalize: %w", err)
	}
	return level, nil
}

func (lv *leveling) finalize(ctx context.Context) (int, error) {
	for {
		leader, changed := lv.instance().leader.get()
		level, err := lv.askFinalize(ctx, leader)
		if err == nil || errors.Is(err, ErrHeldBack) || errors.Is(err, ErrVersion) {
			return level, err
		}
		pause, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		select {
		case <-pause.Done():
		case <-changed.Done(): // it leads no more
			<-pause.Done()
		}
		cancel()
		switch {
		case lv.ctx.Err() != nil:
			return 0, ErrClosed
		case ctx.Err() != nil:
			return 0, lv.reads.noLeader(ctx)
		}
	}
}

// askFinalize has a node that may lead raise the level. To ask again does no harm.
func (lv *leveling) askFinalize(ctx context.Context, leader string) (int, error) {
	var out []byte
	var err error
	switch wire.NodeOf(leader) {
	case "":
		return 0, ErrNoLeader
	case lv.id:
		out, err = lv.answerFinalize(ctx)
	default:
		out, _, err = lv.peers.Call(ctx, wire.NodeOf(leader), wire.MethodFinalize, nil)
	}
	if errors.Is(err, ErrVersion) {
		return 0, fmt.Errorf("%w: the leader runs an older program than this node", ErrHeldBack)
	}
	r := wire.NewReader(out)
	level, behind := r.Uvarint(), r.Text()
	switch {
	case errors.Is(err, ErrHeldBack):
		return int(level), fmt.Errorf("%w: %s", ErrHeldBack, behind)
	case err != nil:
		return 0, err
	}
	return int(level), r.End()
}

// answerFinalize is the leader's side of Finalize.
func (lv *leveling) answerFinalize(ctx context.Context) ([]byte, error) {
	l := lv.instance().leading.now()
	if l == nil {
		return nil, wire.ErrNotLeader
	}
	v, err := l.raising.finalize(ctx)
	if err != nil && !errors.Is(err, ErrHeldBack) {
		return nil, err
	}
	return wire.AppendString(binary.AppendUvarint(nil, uint64(v.force)), strings.Join(v.behind, "; ")), err
}

// raising raises the protocol level.
type raising struct {
	*tenure
	flights *flights
	orders  chan chan raised // for the goroutine that changes the configuration
}

// finalize has the controller raise the level, between two changes of the configuration.
func (ra *raising) finalize(ctx context.Context) (levels, error) {
	order := make(chan raised, 1)
	select {
	case ra.orders <- order:
	case <-ra.ctx.Done():
		return levels{}, wire.ErrNotLeader
	case <-ctx.Done():
		return levels{}, ctx.Err()
	}
	r := <-order
	return r.levels, r.err
}

// raised is what became of an order to raise the level.
type raised struct {
	levels
	from byte // what was in force
	err  error
}

// raiseLevel puts the highest level in force that all members speak, and says so.
func (ra *raising) raiseLevel() raised {
	r := ra.raise()
	if r.err == nil && r.from < r.force {
		ra.in.log.Info("the protocol level was raised; no node can go back to a program that does not speak "+
			"it",
			"from", r.from, "to", r.force)
	}
	return r
}

func (ra *raising) raise() raised {
	v := ra.in.node.leveling.look()
	from := v.force
	if v.common == v.force {
		if len(v.behind) > 0 && v.most > v.force {
			return raised{v, from, ErrHeldBack}
		}
		return raised{v, from, nil}
	}
	err := ra.flights.commit(func() []byte {
		return binary.AppendUvarint(wire.EntryHeader(wire.EntryLevel, ra.stamp()), uint64(v.common))
	})
	if err == nil {
		v.force = v.common
	}
	return raised{v, from, err}
}

// overdue raises the level by itself, a day after all members began to speak the new one, if all are
// there.
func (ra *raising) overdue() {
	v := ra.in.node.leveling.look()
	since := ra.in.node.leveling.spoken.note(v.common, time.Now())
	if v.common > v.force && !v.absent && time.Since(since) >= ra.in.node.hooks.raiseAfter {
		ra.raiseLevel() // if it fails it is tried again
	}
}

// atForming puts the highest level in force that the founders speak, in the moment before the farm has
// formed: there is no program before it to go back to.
func (ra *raising) atForming() {
	if v := ra.in.node.leveling.look(); v.common > v.force && !v.absent {
		ra.raise() // if it fails, it is as with any other rise: an operator's word, or a day
	}
}

// spoken is the highest level that all members speak, and since when it is that one.
type spoken struct {
	mu    sync.Mutex
	level byte
	since time.Time
}

// note notes what all members speak now, and returns since when they do.
func (s *spoken) note(level byte, now time.Time) (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.level != level {
		s.level, s.since = level, now
	}
	return s.since
}

// watch keeps, on every node, since when all members speak a level: the node may come to lead.
func (lv *leveling) watch() {
	for sleep.For(lv.ctx, time.Second) {
		lv.spoken.note(lv.look().common, time.Now())
	}
}

// endIfLeftBehind ends this node's part in the farm if that works at a level which this program does not
// speak.
func (lv *leveling) endIfLeftBehind(level byte, cluster, who string) error {
	if level <= lv.hooks.maxLevel {
		return nil
	}
	err := fmt.Errorf("%w; so says %s", replica.TooOld(uint64(level), lv.hooks.maxLevel), who)
	if own := lv.self().cluster; own == "" || own == cluster {
		lv.fail(err)
	}
	return err
}

// refuseTooOld returns an error, and warns, if another node does not speak the level that this farm works at.
func (lv *leveling) refuseTooOld(speaks byte, who string) error {
	force := lv.fsm().Level()
	if speaks >= force {
		return nil
	}
	err := fmt.Errorf("%w: the farm works at protocol level %d, and %s speaks up to %d", ErrVersion, force,
		who, speaks)
	lv.warnOnce("level of "+who, "a node runs a program that is too old for this farm, and was refused; "+
		"start a newer one there", err)
	return err
}
