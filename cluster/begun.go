package cluster

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A data directory says in a file beside the log that the log of its incarnation has begun. Without that, a
// log that is gone looks like one that a crash kept from beginning, and the only node of a farm would found
// that anew, with nothing in it.

var errNoLog = errors.New("the log of the farm that this data directory belongs to is missing, and no " +
	"other node is known that has it")

// mayLose reports, by an error, whether a member without a log must not go on as if it had never had one:
// what was in the log is needed if no other node has it. One that founded its farm and never had a second
// member can get it from nobody, whomever it knows.
func (lg *logs) mayLose() error {
	begun, err := lg.dir.Begun()
	if err != nil {
		return unusable(err)
	}
	id := lg.standing.Identity()
	if id.ClusterID == "" || begun != lg.standing.Server() || !id.Founding && lg.knowsOthers() {
		return nil
	}
	return unusable(&raftlog.CorruptError{File: lg.dir.Path(logDir), Err: errNoLog})
}
