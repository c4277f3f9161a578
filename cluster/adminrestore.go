package cluster

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

const restorePatience = 4 * time.Minute // for a backup to take the place of the state, once it is here

// serveRestore takes in a backup and has the farm go on with it.
func (o *operators) serveRestore(c *adminwire.Conn, req adminwire.Request) error {
	if o.takingIn.Swap(true) {
		return adminwire.Failed(admin.ErrRefused, "%s is taking in another backup", o.cfg.Name)
	}
	defer o.takingIn.Store(false)
	if err := o.replaceable(req); err != nil {
		return err
	}
	if err := c.Send(adminwire.KindAnswer, nil); err != nil {
		return err
	}
	s, err := o.takeIn(c.Chunks())
	if err != nil {
		return err
	}
	defer s.drop()
	ctx, cancel := context.WithTimeout(o.ctx, restorePatience)
	defer cancel()
	o.log.Warn("an operator has this farm go on with a backup",
		"of", s.header.Farm, "taken", s.header.Taken, "index", s.header.Index)
	if err := o.restoreFrom(ctx, req.Cluster, s.file); err != nil {
		return err
	}
	return c.Send(adminwire.KindAnswer,
		admin.Restored{ClusterID: o.self().cluster, Index: s.header.Index, LogTime: s.header.LogTime})
}

// replaceable returns an error if this node is none that a farm's state can be replaced on, or the farm has
// changed since the operator looked at it.
func (o *operators) replaceable(req adminwire.Request) error {
	cluster := o.self().cluster
	switch {
	case o.cfg.Role != Ordinary:
		return adminwire.Failed(admin.ErrRefused, "%s has the role %s and never votes; ask an ordinary node",
			o.cfg.Name, o.cfg.Role)
	case cluster == "":
		return adminwire.Failed(admin.ErrRefused,
			"%s does not belong to a farm yet; wait until the farm has formed", o.cfg.Name)
	case req.Cluster != "" && req.Cluster != cluster:
		return otherFarm(req.Cluster, cluster)
	}
	return nil
}

func (o *operators) restoreFrom(ctx context.Context, cluster string, src io.Reader) error {
	err := o.recovery.restore(ctx, cluster, src)
	switch {
	case errors.Is(err, ErrHeldBack), errors.Is(err, errFarmChanged), errors.Is(err, errBusy):
		return adminwire.Failed(admin.ErrRefused, "%v", err)
	case errors.Is(err, ErrVersion):
		return adminwire.Failed(admin.ErrUnsupported, "the backup holds what this program does not know: %v",
			err)
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, io.ErrUnexpectedEOF):
		return adminwire.Failed(backup.ErrDamaged, "the state in the backup cannot be read: %v", err)
	}
	return err
}

// spool is a backup that came in: whole and checked before anything is done with it.
type spool struct {
	file   *os.File // the state
	header backup.Header
}

// takeIn writes what a backup holds to a file of this node, and checks all of it.
func (o *operators) takeIn(src io.Reader) (*spool, error) {
	r, err := backup.NewReader(src)
	if err != nil {
		return nil, err
	}
	file, err := o.spoolFile()
	if err != nil {
		return nil, err
	}
	s := &spool{file: file, header: r.Header()}
	_, err = io.Copy(file, r)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, s.drop())
	}
	return s, nil
}

// spoolFile makes the file, in the data directory if there is one. It holds sessions in the clear, so it
// loses its name at once where a system allows that of an open file: a crash leaves nothing. Elsewhere the
// next one takes its place.
func (o *operators) spoolFile() (file *os.File, err error) {
	if o.dir == nil {
		file, err = os.CreateTemp("", "farm-restore-*.tmp")
	} else {
		file, err = os.OpenFile(o.dir.Path("restore.tmp"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	if err == nil {
		os.Remove(file.Name()) // again in drop
	}
	return file, err
}

func (s *spool) drop() error {
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
