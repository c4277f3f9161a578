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

// identifying finds out who this node is, whether its data directory is the right one, and what it is called.
// All that comes before anybody hears of it, and before the other parts begin.
type identifying struct {
	*base
	certificate *trust.Identity
}

// identify finds out who this node is, and gets it a certificate. It changes nothing in the data directory;
// occupyDir does.
func (iy *identifying) identify() (err error) {
	if iy.trust, err = trust.New(iy.cfg.Farm, iy.cfg.Secrets); err != nil {
		return fault.Config(err)
	}
	if iy.cfg.PeerTLS != nil { // an authority outside says who this is
		if iy.certificate, err = iy.trust.Own(iy.cfg.PeerTLS); err != nil {
			return err
		}
		iy.id = iy.certificate.NodeID()
	}
	if err := iy.findIdentity(); err != nil {
		return err
	}
	if iy.certificate == nil {
		iy.certificate, err = iy.trust.Identity(iy.id)
	}
	return err
}

// findIdentity opens the data directory and takes from it who this node is and what it has promised. A node
// without one, or with an empty one, is a new one.
func (iy *identifying) findIdentity() error {
	if iy.cfg.Dir == "" {
		iy.id = cmp.Or(iy.id, memoryNodeID(iy.cfg))
		iy.standing = standing.New(disk.Identity{NodeID: iy.id, Incarnation: standing.NewID(), Boot: 1},
			disk.Promise{}, nil)
		return nil
	}
	dir, err := disk.Open(iy.cfg.Dir)
	if err != nil {
		return err
	}
	iy.dir = dir
	id, ok, err := dir.Identity()
	if err != nil {
		return unusable(err)
	}
	if !ok {
		if err := iy.refuseOwnerless(); err != nil {
			return err
		}
		id = disk.Identity{NodeID: cmp.Or(iy.id, standing.NewID()), Incarnation: standing.NewID()}
	}
	if iy.id != "" && iy.id != id.NodeID {
		return fault.Config(fmt.Errorf("the data directory is that of node %q, and by its certificate "+
			"(PeerTLS) this is %q; "+
			"start with an empty directory, and the node gets its state from the others", id.NodeID, iy.id))
	}
	promise, err := dir.Promise()
	if err != nil {
		return unusable(err)
	}
	iy.id, iy.standing = id.NodeID, standing.New(id, promise, dir)
	if to := iy.standing.Word().Successor; to != "" {
		iy.log.Warn("this node takes no part in the farm: during a recovery it promised to follow another "+
			"node; "+
			"start the others as well, or run farmctl recover again", "follows", to)
	}
	return nil
}

// refuseOwnerless makes sure that a data directory without an identity holds no log: that would be
// somebody's, whose votes are in it.
func (iy *identifying) refuseOwnerless() error {
	logs, err := iy.dir.List(logDir)
	if err == nil && len(logs) > 0 {
		err = fmt.Errorf("the data directory %s has a log, and the file that says whose it is, identity, is "+
			"missing; %w",
			iy.cfg.Dir, ErrDamaged)
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
