package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/standing"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A NodeID stands for a node for as long as its data directory exists; a memory node's comes from its farm
// and name, so that it is known again. An incarnation is one memory of votes and log: kept with the data
// directory, or random for each start of a memory node. A node that forgot its votes must never vote as the
// one that cast them.

// ownIdentity returns, and takes its NodeID from, the certificate of an authority outside; nil without
// PeerTLS.
func (n *Node) ownIdentity() (*trust.Identity, error) {
	if n.cfg.PeerTLS == nil {
		return nil, nil
	}
	ident, err := n.trust.Own(n.cfg.PeerTLS)
	if err != nil {
		return nil, err
	}
	n.id = ident.NodeID()
	return ident, nil
}

// openIdentity finds out who this node is. It changes nothing in the data directory; occupyDir does.
func (n *Node) openIdentity() error {
	if n.cfg.Dir == "" {
		n.id = cmp.Or(n.id, memoryNodeID(n.cfg))
		n.standing = standing.New(disk.Identity{NodeID: n.id, Incarnation: standing.NewID(), Boot: 1},
			disk.Promise{}, nil)
		return nil
	}
	dir, err := disk.Open(n.cfg.Dir)
	if err != nil {
		return err
	}
	n.dir = dir
	id, ok, err := dir.Identity()
	if err != nil {
		return unusable(err)
	}
	if !ok {
		if err := n.refuseOwnerless(); err != nil {
			return err
		}
		id = disk.Identity{NodeID: cmp.Or(n.id, standing.NewID()), Incarnation: standing.NewID()}
	}
	if n.id != "" && n.id != id.NodeID {
		return fault.Config(fmt.Errorf("the data directory is that of node %q, and by its certificate "+
			"(PeerTLS) this is %q; "+
			"start with an empty directory, and the node gets its state from the others", id.NodeID, n.id))
	}
	promise, err := dir.Promise()
	if err != nil {
		return unusable(err)
	}
	n.id, n.standing = id.NodeID, standing.New(id, promise, dir)
	if to := n.standing.Word().Successor; to != "" {
		n.log.Warn("this node takes no part in the farm: during a recovery it promised to follow another "+
			"node; "+
			"start the others as well, or run farmctl recover again", "follows", to)
	}
	n.mending.loadResync()
	n.joining.loadAddresses()
	return nil
}

// refuseOwnerless makes sure that a data directory without an identity holds no log: that would be
// somebody's, whose votes are in it.
func (n *Node) refuseOwnerless() error {
	logs, err := n.dir.List(logDir)
	if err == nil && len(logs) > 0 {
		err = fmt.Errorf("the data directory %s has a log, and the file that says whose it is, identity, is "+
			"missing; %w",
			n.cfg.Dir, ErrDamaged)
	}
	return err
}

// memoryNodeID returns the NodeID of a memory node: the same after a restart, if its name or its port is.
func memoryNodeID(c Config) string {
	name := c.Name
	if _, p, _ := net.SplitHostPort(c.Listen); name == "" && p != "0" {
		name = defaultName(c.Listen)
	}
	if name == "" {
		return standing.NewID()
	}
	sum := sha256.Sum256([]byte(c.Farm + "\x00" + name))
	return hex.EncodeToString(sum[:8])
}

func defaultName(bound string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	_, p, _ := net.SplitHostPort(bound)
	host, _, _ = strings.Cut(host, ".")
	return host[:min(len(host), roster.MaxName-6)] + "-" + p
}
