package cluster

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// logs opens this node's log, on disk or in memory, and puts another one in its place. There is no lock. open
// and placeholder set hadState before the node's goroutines start. resets alone changes next, and it does one
// thing at a time.
type logs struct {
	*base
	knowsOthers func() bool // whether this node knows where others may be
	hadState    bool        // there was a log at the start
	next        openLog     // in memory, for the next epoch; see reform.go
}

const logDir = "raft"

// openLog is a log with its snapshots, open.
type openLog struct {
	store raftlog.Store
	snaps raft.SnapshotStore
}

// open opens this node's log, on disk or in memory.
func (lg *logs) open() (openLog, error) {
	if lg.dir == nil {
		return openLog{raftlog.NewMemory(), raftlog.NewMemorySnapshots()}, nil
	}
	if err := lg.takeNew(); err != nil {
		return openLog{}, err
	}
	log, err := lg.openIn(logDir)
	if err == nil && lg.inst.Load() == nil {
		lg.hadState, err = raft.HasExistingState(log.store, log.store, log.snaps)
		if err == nil && lg.hadState && lg.standing.Identity().Founding {
			lg.hadState, err = lg.clearUnbegun(log)
		}
		switch {
		case err != nil:
		case lg.hadState:
			err = lg.standing.Begun(lg.standing.Server())
		default:
			err = lg.lose()
		}
		if err != nil {
			return openLog{}, errors.Join(err, log.store.Close())
		}
	}
	return log, err
}

// lose gives a member whose data directory has no log a new incarnation: if the log was there and is lost,
// so are the votes.
func (lg *logs) lose() error {
	if err := lg.mayLose(); err != nil {
		return err
	}
	member, err := lg.standing.LoseLog()
	if member {
		lg.log.Warn("the data directory has no log of the farm it belongs to; this node joins anew", "dir",
			lg.cfg.Dir)
	}
	return err
}

// clearUnbegun reports whether a founder has begun its log, and takes back what raft saved if not. raft saves
// the term of it first, and a crash after that left a node that would neither found the farm nor join one.
// Nobody has voted there: a founder is known to nobody before its log has begun.
func (lg *logs) clearUnbegun(log openLog) (bool, error) {
	last, err := log.store.LastIndex()
	if err != nil || last > 0 {
		return true, err
	}
	snaps, err := log.snaps.List()
	if err != nil || len(snaps) > 0 {
		return true, err
	}
	term, err := log.store.GetUint64([]byte("CurrentTerm")) // raft's own keys
	if err != nil || term > 1 {
		return true, err
	}
	voted, err := log.store.GetUint64([]byte("LastVoteTerm"))
	if err != nil || voted > 0 {
		return true, err
	}
	return false, log.store.SetUint64([]byte("CurrentTerm"), 0)
}

// openIn opens the log in a folder of the data directory.
func (lg *logs) openIn(folder string) (openLog, error) {
	path := lg.dir.Path(folder)
	store, err := raftlog.OpenDurable(filepath.Join(path, "log"), 0, raftLogger(lg.log))
	if err != nil {
		return openLog{}, unusable(err)
	}
	snaps, err := raftlog.NewSnapshots(path, raftLogger(lg.log))
	if err != nil {
		return openLog{}, errors.Join(fmt.Errorf("open the snapshots: %w", err), store.Close())
	}
	if err := lg.dir.Sync(folder); err != nil { // who has votes and entries on disk must find them again
		return openLog{}, errors.Join(err, store.Close())
	}
	mended, err := raftlog.Check(store, snaps, path)
	if err != nil {
		return openLog{}, errors.Join(unusable(err), store.Close())
	}
	lg.sayMended(mended)
	return openLog{store, snaps}, nil
}

// openAgain opens the log of a node that has run.
func (lg *logs) openAgain() (log openLog, err error) {
	err = lg.untilFiles(lg.ctx, "the log", func() error {
		log, err = lg.open()
		return err
	})
	return log, err
}

// takeNew puts the log that was prepared for this incarnation in the place of the old one, which is moved
// aside. It finishes what a crash interrupted, as well.
func (lg *logs) takeNew() error {
	inc := lg.standing.Identity().Incarnation
	ready, err := lg.dir.Has(newLogDir(inc))
	if err == nil && ready {
		_, err = lg.dir.Discard(logDir)
		err = errors.Join(err, lg.dir.Rename(newLogDir(inc), logDir))
	}
	return errors.Join(err, lg.clearNew())
}

// clearNew moves aside what is left of a re-forming that did not come to its end.
func (lg *logs) clearNew() error {
	left, err := lg.dir.List(newLogDir(""))
	for _, folder := range left {
		_, discarded := lg.dir.Discard(folder)
		err = errors.Join(err, discarded)
	}
	return err
}

// makeNew opens an empty log for an incarnation to come.
func (lg *logs) makeNew(inc string) (openLog, error) {
	if lg.dir == nil {
		return lg.open()
	}
	return lg.openIn(newLogDir(inc))
}

// keepNew keeps a log that is ready until the node switches over to it: in memory here, else on the disk.
func (lg *logs) keepNew(log openLog) error {
	if lg.dir == nil {
		lg.next = log
		return nil
	}
	return log.store.Close()
}

// takeNext returns the log that the node switches over to.
func (lg *logs) takeNext() (log openLog, err error) {
	if lg.dir != nil {
		return lg.openAgain()
	}
	log, lg.next = lg.next, openLog{}
	return log, nil
}

func newLogDir(inc string) string { return logDir + "-" + inc }
