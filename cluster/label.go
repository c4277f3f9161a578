package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// A data directory that is the wrong one is refused before anything in it is changed, so that it can be put
// where it belongs.

// checkDir refuses a data directory by its label. The peer port must not be open yet; see checkCopy.
func (n *Node) checkDir(ctx context.Context, ident *trust.Identity) error {
	if n.dir == nil {
		return nil
	}
	label, err := n.dir.Label()
	if err != nil {
		n.log.Warn("the label of the data directory cannot be read; it is written anew", keyError, err)
		return nil
	}
	if err := n.checkLabel(label); err != nil {
		return err
	}
	return n.checkCopy(ctx, ident, label)
}

// checkLabel refuses the data directory of a farm of another name.
func (n *Node) checkLabel(l disk.Label) error {
	cluster := n.standing.Identity().ClusterID
	if cluster == "" || l.Farm == "" || l.Farm == n.cfg.Farm {
		return nil
	}
	return fmt.Errorf("%w: the data directory %s is that of farm %q, cluster ID %s, and this node is to be "+
		"in farm %q; "+
		"give it the directory of that farm, or an empty one", ErrOtherFarm, n.cfg.Dir, l.Farm, cluster,
		n.cfg.Farm)
}

// copyPatience is how long a node waits for an answer from where its data directory was used last. Most often
// nobody is there.
const copyPatience = time.Second

// checkCopy refuses a data directory that is the copy of another one, in use where this one's node was
// reached last. Only that node has the certificate of its NodeID, so whoever answers as it is it. That must
// not be this process: the address may lead here, by a forwarded port, also when Advertise says something
// else by now. So it is called before the peer port is open.
func (n *Node) checkCopy(ctx context.Context, ident *trust.Identity, l disk.Label) error {
	if l.Addr == "" || l.Addr == n.cfg.Listen || l.Addr == n.cfg.Advertise {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	c, err := port.DialAs(ctx, n.cfg.Network, ident, l.Addr, protoRPC, n.id)
	if err != nil {
		return nil
	}
	c.Close()
	return fmt.Errorf("%w: a node at %s runs on the data directory of which %s is a copy; start this node "+
		"with an empty directory, "+
		"and it gets the state from the others", ErrNameTaken, l.Addr, n.cfg.Dir)
}

// occupyDir writes into the data directory that this node runs on it. The boot counter is on disk before
// anybody hears of it.
func (n *Node) occupyDir() error {
	if n.dir == nil {
		return nil
	}
	if err := n.standing.Start(); err != nil {
		return err
	}
	return n.dir.SaveLabel(disk.Label{Farm: n.cfg.Farm, Addr: n.advertise})
}

// nameSelf fills in what depends on the bound address.
func (n *Node) nameSelf(ctx context.Context) {
	if n.cfg.Name == "" && n.cfg.PeerTLS != nil {
		n.cfg.Name = n.id
	}
	if n.cfg.Name == "" {
		n.cfg.Name = defaultName(n.port.Addr().String())
	}
	n.log = n.log.With("self", n.cfg.Name)
	n.joining.seeds = newSeeds(n.cfg, n.hooks.lookup, n.ownAddr)
	n.joining.seeds.addrs(ctx)
	n.joining.reportNames()
}
