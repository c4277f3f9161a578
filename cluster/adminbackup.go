package cluster

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
)

// serveBackup streams the replicated state as this node has it. If the farm has a majority it waits first
// until the state is as new as anything acknowledged so far.
func (n *Node) serveBackup(c *adminwire.Conn) error {
	ctx, cancel := context.WithTimeout(n.ctx, askPatience)
	defer cancel()
	current := n.reads.barrier(ctx) == nil
	out := c.Stream()
	if err := n.writeBackup(out, current); err != nil {
		return err
	}
	return errors.Join(out.Close(), c.Send(adminwire.KindAnswer, nil))
}

func (n *Node) writeBackup(dst io.Writer, current bool) error {
	s, index, err := n.local.Load().Freeze()
	if err != nil {
		return err
	}
	if index == 0 {
		return adminwire.Failed(admin.ErrRefused, "%s has no state yet: it waits for a farm", n.cfg.Name)
	}
	h, err := s.About()
	if err != nil {
		return err
	}
	st := n.State()
	w, err := backup.NewWriter(dst, backup.Header{Farm: st.Farm, ClusterID: st.ClusterID, Index: index,
		LogTime: time.UnixMilli(int64(h.Stamp)).UTC(), Taken: time.Now().UTC(), Node: n.cfg.Name,
		Version: n.cfg.Version,
		Level:   int(h.Level), Durable: st.Durable, Current: current, Members: len(h.Servers),
		Machines: s.Names})
	if err != nil {
		return err
	}
	if err := s.Write(w); err != nil {
		return err
	}
	return w.Close()
}
