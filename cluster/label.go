package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
)

// A data directory that is the wrong one is refused before anything in it is changed, so that it can be put
// where it belongs.

// checkDir refuses a data directory by its label. The peer port must not be open yet; see checkCopy.
func (iy *identifying) checkDir(ctx context.Context) error {
	if iy.dir == nil {
		return nil
	}
	label, err := iy.dir.Label()
	if err != nil {
		iy.log.Warn("the label of the data directory cannot be read; it is written anew", keyError, err)
		return nil
	}
	if err := iy.checkLabel(label); err != nil {
		return err
	}
	return iy.checkCopy(ctx, label)
}

// checkLabel refuses the data directory of a farm of another name.
func (iy *identifying) checkLabel(l disk.Label) error {
	cluster := iy.standing.Identity().ClusterID
	if cluster == "" || l.Farm == "" || l.Farm == iy.cfg.Farm {
		return nil
	}
	return fmt.Errorf("%w: the data directory %s is that of farm %q, cluster ID %s, and this node is to be "+
		"in farm %q; "+
		"give it the directory of that farm, or an empty one", ErrOtherFarm, iy.cfg.Dir, l.Farm, cluster,
		iy.cfg.Farm)
}

// copyPatience is how long a node waits for an answer from where its data directory was used last. Most often
// nobody is there.
const copyPatience = time.Second

// checkCopy refuses a data directory that is the copy of another one, in use where this one's node was
// reached last. Only that node has the certificate of its NodeID, so no other one can answer as it. But the
// address may lead to this very process, by a forwarded port, even if Advertise says something else by now.
// So checkCopy is called before the peer port is open.
func (iy *identifying) checkCopy(ctx context.Context, l disk.Label) error {
	if l.Addr == "" || l.Addr == iy.cfg.Listen || l.Addr == iy.cfg.Advertise {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	c, err := port.DialAs(ctx, iy.cfg.Network, iy.certificate, l.Addr, protoRPC, iy.id)
	if err != nil {
		return nil
	}
	c.Close()
	return fmt.Errorf("%w: a node at %s runs on the data directory of which %s is a copy; start this node "+
		"with an empty directory, "+
		"and it gets the state from the others", ErrNameTaken, l.Addr, iy.cfg.Dir)
}

// occupyDir writes into the data directory that this node runs on it. The boot counter is on disk before
// anybody hears of it.
func (iy *identifying) occupyDir() error {
	if iy.dir == nil {
		return nil
	}
	if err := iy.standing.Start(); err != nil {
		return err
	}
	return iy.dir.SaveLabel(disk.Label{Farm: iy.cfg.Farm, Addr: iy.advertise})
}

// nameSelf gives a node without a name one, of the address that is bound.
func (iy *identifying) nameSelf() {
	if iy.cfg.Name == "" && iy.cfg.PeerTLS != nil {
		iy.cfg.Name = iy.id
	}
	if iy.cfg.Name == "" {
		iy.cfg.Name = defaultName(iy.port.Addr().String())
	}
	iy.log = iy.log.With("self", iy.cfg.Name)
}
