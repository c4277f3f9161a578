package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// listenFirst is how long a node that would found a farm listens for one that exists: a machine that lost its disk may
// still be known to the others.
const listenFirst = 3 * time.Second

// form brings a node without state into a farm: without Join addresses it founds one, else it waits to be taken in, for
// ever. A node with state has nothing to form; Raft carries on.
func (n *Node) form() {
	if n.hasState || len(n.seeds) > 0 {
		return
	}
	if n.cfg.Role != Ordinary {
		n.log.Warn("a node that never votes cannot found a farm: give it Join addresses", "role", n.cfg.Role)
		return
	}
	if !sleep(n.ctx, listenFirst) || n.foundOthers() {
		return
	}
	if err := n.found(); err != nil {
		n.fail(fmt.Errorf("found a farm: %w", err))
	}
}

// foundOthers reports whether a farm was heard of: then this node waits to be taken in.
func (n *Node) foundOthers() bool {
	if n.adopted() {
		return true
	}
	for _, s := range n.directory.all() {
		if s.status == Alive && s.cluster != "" && s.node != n.id {
			return true
		}
	}
	return false
}

// adopted reports whether this node belongs to a farm that others founded.
func (n *Node) adopted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cluster != "" && !n.founding
}

// found founds a farm of one. The cluster ID is saved before there is a log: two logs without one could be spliced
// together without any error.
func (n *Node) found() error {
	if n.self().cluster == "" {
		if err := n.setCluster(randomHex(8), true); err != nil && !n.adopted() {
			return err
		}
	}
	if n.adopted() {
		return nil // a farm takes this node in just now
	}
	in := n.instance()
	self := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(in.server), Address: raft.ServerAddress(in.server)}
	err := in.guard(in.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{self}}))
	if errors.Is(err, raft.ErrCantBootstrap) || errors.Is(err, ErrClosed) {
		return nil // a farm took this node in meanwhile, or it ends
	}
	return err
}

// adopt takes over the cluster ID of the farm that takes this node in.
func (n *Node) adopt(cluster string) error {
	if cluster == "" {
		return fmt.Errorf("the other node has no cluster ID: %w", errMalformed)
	}
	return n.setCluster(cluster, false)
}

// setCluster saves the cluster ID, which this node keeps from then on. It fails if it has another one by now.
func (n *Node) setCluster(cluster string, founding bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cluster != "" && n.cluster != cluster {
		return fmt.Errorf("%w: cluster ID %s here, %s offered", ErrOtherFarm, n.cluster, cluster)
	}
	if n.cluster == cluster {
		return nil
	}
	n.cluster, n.founding = cluster, founding
	if err := n.saveIdentityLocked(); err != nil {
		n.cluster, n.founding = "", false
		return err
	}
	n.metaChanged()
	return nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}
