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
func (o *operators) serveBackup(c *adminwire.Conn) error {
	ctx, cancel := context.WithTimeout(o.ctx, askPatience)
	defer cancel()
	current := o.reads.barrier(ctx) == nil
	out := c.Stream()
	if err := o.writeBackup(out, current); err != nil {
		return err
	}
	return errors.Join(out.Close(), c.Send(adminwire.KindAnswer, nil))
}

func (o *operators) writeBackup(dst io.Writer, current bool) error {
	s, index, err := o.local.Load().Freeze()
	if err != nil {
		return err
	}
	if index == 0 {
		return adminwire.Failed(admin.ErrRefused, "%s has no state yet: it waits for a farm", o.cfg.Name)
	}
	h, err := s.About()
	if err != nil {
		return err
	}
	st := o.node.State()
	w, err := backup.NewWriter(dst, backup.Header{Farm: st.Farm, ClusterID: st.ClusterID, Index: index,
		LogTime: time.UnixMilli(int64(h.Stamp)).UTC(), Taken: time.Now().UTC(), Node: o.cfg.Name,
		Version: o.cfg.Version,
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
