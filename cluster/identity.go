package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/raftlog"
)

// A NodeID stands for a node for as long as its data directory exists; a memory node's comes from its farm and name, so
// that it is known again. An incarnation is one memory of votes and log: kept with the data directory, or random for each
// start of a memory node. A node that forgot its votes must never vote as the one that cast them.

// openIdentity finds out who this node is.
func (n *Node) openIdentity() error {
	if n.cfg.Dir == "" {
		n.id, n.inc, n.boot = memoryNodeID(n.cfg), randomHex(8), 1
		return nil
	}
	dir, err := disk.Open(n.cfg.Dir)
	if err != nil {
		return err
	}
	n.dir = dir
	id, ok, err := dir.Identity()
	if err != nil {
		return err
	}
	if !ok {
		id = disk.Identity{NodeID: randomHex(8), Incarnation: randomHex(8)}
	}
	n.id, n.inc, n.cluster, n.founding, n.boot = id.NodeID, id.Incarnation, id.ClusterID, id.Founding, id.Boot+1
	if err := n.saveIdentityLocked(); err != nil { // the boot counter is on disk before anybody hears of it
		return err
	}
	return n.loadAddresses()
}

// memoryNodeID returns the NodeID of a memory node: the same after a restart, if its name or its port is.
func memoryNodeID(c Config) string {
	name := c.Name
	if _, p, _ := net.SplitHostPort(c.Listen); name == "" && p != "0" {
		name = defaultName(c.Listen)
	}
	if name == "" {
		return randomHex(8)
	}
	sum := sha256.Sum256([]byte(c.Farm + "\x00" + name))
	return hex.EncodeToString(sum[:8])
}

func (n *Node) saveIdentityLocked() error {
	if n.dir == nil {
		return nil
	}
	return n.dir.SaveIdentity(disk.Identity{NodeID: n.id, Incarnation: n.inc, Boot: n.boot, ClusterID: n.cluster,
		Founding: n.founding})
}

// loadAddresses brings back where the others were when this node ran last. Without them the Join addresses must do.
func (n *Node) loadAddresses() error {
	saved, err := n.dir.Peers()
	if err != nil {
		n.log.Warn("the saved addresses of the other members cannot be read; Join must name one", keyError, err)
	}
	for server, addrs := range saved.Servers {
		if node := nodeOf(server); node != n.id && len(addrs) > 0 {
			n.directory.saved[node] = addrs[0]
			n.contacts = append(n.contacts, addrs...)
		}
	}
	return nil
}

// saveAddresses keeps the addresses of the configured servers, in memory and on disk.
func (n *Node) saveAddresses() {
	var saved disk.Peers
	for sleep(n.ctx, time.Second) {
		servers := n.instance().configuration().Servers
		if len(servers) == 0 {
			continue // taken in by nobody yet, or no log: what was known may still be needed
		}
		now := disk.Peers{Servers: map[string][]string{}}
		configured := map[string]bool{}
		for _, s := range servers {
			configured[string(s.ID)] = true
			if addr := n.directory.keep(nodeOf(string(s.ID))); addr != "" {
				now.Servers[string(s.ID)] = []string{addr}
			}
		}
		n.directory.forget(configured, time.Now())
		if n.dir == nil || now.Equal(saved) {
			continue
		}
		if err := n.dir.SavePeers(now); err != nil {
			n.warnOnce("save peers", "the addresses of the other members cannot be saved", err)
			continue
		}
		saved = now
	}
}

const logDir = "raft"

// openLog opens the log and the snapshots, on disk or in memory.
func (n *Node) openLog(appended func(last uint64)) (raftlog.Store, raft.SnapshotStore, error) {
	if n.dir == nil {
		return raftlog.OnAppend(raftlog.NewMemory(), appended), raftlog.NewMemorySnapshots(), nil
	}
	path := n.dir.Path(logDir)
	store, err := raftlog.OpenDurable(filepath.Join(path, "log"), 0, raftLogger(n.log))
	if err != nil {
		return nil, nil, err
	}
	store = raftlog.OnAppend(store, appended)
	snaps, err := raftlog.NewSnapshots(path, raftLogger(n.log))
	if err == nil && n.inst.Load() == nil {
		n.hasState, err = raft.HasExistingState(store, store, snaps)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the snapshots: %w", err), store.Close())
	}
	return store, snaps, nil
}

// resetOrder says that an incarnation must forget its votes and log, and perhaps its farm.
type resetOrder struct {
	server string
	kind   resetKind
	reason error
}

type resetKind int

const (
	restartRaft resetKind = iota // on the same log
	forgetLog
	forgetFarm // and the log
)

// restart has this node, if it still is that incarnation, start a new Raft instance; a memory node has no log to go on
// with. It returns at once.
func (n *Node) restart(server string, reason error) {
	o := resetOrder{server, restartRaft, reason}
	if !n.durable() {
		o.kind = forgetLog
	}
	select {
	case n.resets <- o:
	default:
	}
}

// reset makes this node, if it still is that incarnation, forget votes and log and go on as a new one. It returns at once.
func (n *Node) reset(server string, reason error) {
	select {
	case n.resets <- resetOrder{server, forgetLog, reason}:
	default:
	}
}

func (n *Node) resetOnDemand() {
	for {
		select {
		case o := <-n.resets:
			if o.server != n.instance().server {
				continue // that has been done
			}
			if o.kind == restartRaft {
				n.log.Warn("this node starts its part in Raft anew", "reason", o.reason)
			} else {
				n.log.Warn("this node forgets its log and joins anew; the old data is moved aside, not deleted", "reason", o.reason)
			}
			if err := n.replaceInstance(o.kind); err != nil {
				n.fail(err)
				return
			}
		case <-n.ctx.Done():
			return
		}
	}
}

// replaceInstance starts over: with the log, as the next boot of the same incarnation; or without votes and log; or without
// the farm, too, if it is given up for another one.
func (n *Node) replaceInstance(kind resetKind) error {
	if err := n.instance().stop(); err != nil {
		return err
	}
	if n.dir != nil && kind != restartRaft {
		if _, err := n.dir.Discard(logDir); err != nil {
			return err
		}
	}
	n.mu.Lock()
	if kind == restartRaft {
		n.boot++
	} else {
		n.inc = randomHex(8)
	}
	if kind == forgetFarm {
		n.cluster, n.founding, n.caughtUp, n.freshAt = "", false, false, time.Time{}
	}
	err := n.saveIdentityLocked()
	n.mu.Unlock()
	if err != nil {
		return err
	}
	n.peers.dropAll()
	in, err := startInstance(n, serverID(n.id, n.inc), n.boot)
	if err != nil {
		return err
	}
	n.inst.Store(in)
	if kind == forgetFarm {
		n.local.Store(in.fsm)
		n.progress.reset()
		n.toldSecond.Store(false)
		n.spawn(n.becomeReady)
	}
	n.metaChanged()
	n.changed.notify()
	return nil
}
