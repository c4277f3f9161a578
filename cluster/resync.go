package cluster

import (
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A node whose copy of the state is wrong begins anew: it stops its Raft, moves its data aside, and joins as
// a new incarnation, which gets the state from the others. That costs its vote, and what only its log holds.
// So the leader says so, when a quorum has all of the log without this node (without.go); and once the node
// has stopped, a leader has to say that again (unfit.go), since until then the node took entries, and its
// word for them counted.

// resyncAgain is the time within which a second re-sync shows that it is of no use: the copy came out wrong
// again.
const resyncAgain = time.Hour

// answerResync is the side of the node whose copy is wrong.
func (md *mending) answerResync(from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	server, why := r.Text(), r.Text()
	if err := r.End(); err != nil {
		return err
	}
	in := md.instance()
	if server != in.server || in.ctx.Err() != nil || !in.follows(from) {
		return wire.ErrNotMe
	}
	return md.resync(in, why)
}

// resync has this node take no part any more, at once, and then begin anew with the state of the others
// (unfit.go). If that comes twice within an hour, it ends the node's part in the farm. One incarnation that
// is told twice counts as told once.
func (md *mending) resync(in *instance, why string) error {
	before := md.fit.lastResync()
	u := unfit{err: fmt.Errorf("%w; %s", ErrDiverged, why), kind: forgetState}
	if ago := time.Since(before.At).Abs(); before.Server != "" && before.Server != in.server &&
		ago < resyncAgain {
		u.final = true
		u.err = fmt.Errorf("%w; it is the second time within an hour that this node's copy is wrong, so it "+
			"is not made anew: %s",
			ErrDiverged, why)
	} else if err := md.noteResync(disk.Resync{Server: in.server, At: time.Now()}); err != nil {
		return err
	}
	if md.withdraw(in.core, u) {
		md.log.Warn("this node's copy of the state is wrong; it takes no part any more, and asks the others "+
			"whether they have a quorum "+
			"without it", keyError, u.err)
	} else if md.fit.err() == nil {
		return wire.ErrNotMe // the next boot took its place meanwhile, and is compared again
	}
	return nil
}

// noteResync keeps, over restarts, that this incarnation's copy was wrong. A memory node keeps it for as long
// as it runs.
func (md *mending) noteResync(r disk.Resync) error {
	return md.fit.noteResync(r, func(r disk.Resync) error {
		if md.dir == nil {
			return nil
		}
		return md.dir.SaveResync(r)
	})
}

// loadResync remembers what noteResync kept. What cannot be read is no reason not to start.
func (md *mending) loadResync() {
	r, err := md.dir.Resync()
	if err != nil {
		md.log.Warn("when this node's copy of the state was last found to be wrong cannot be read; it counts "+
			"as never", keyError, err)
	}
	md.fit.resynced = r // nobody else knows this node yet
}
