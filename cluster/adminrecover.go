package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// operateSurvey asks everybody configured what they hold.
func (o *operators) operateSurvey(ctx context.Context) (any, error) {
	s, err := o.node.Survey(ctx)
	if errors.Is(err, ErrNoLeader) {
		return nil, adminwire.Failed(admin.ErrRefused,
			"%s is no member of a farm and holds nothing; ask another node", o.cfg.Name)
	}
	if err != nil {
		return nil, err
	}
	out := admin.Survey{Farm: o.cfg.Farm, ClusterID: s.ClusterID, Durable: o.durable(), Quorum: s.Quorum,
		Successor: s.Successor}
	for _, v := range s.Servers {
		out.Servers = append(out.Servers,
			admin.Survivor{ID: v.NodeID, Name: v.Name, Addr: v.Addr, Vote: string(v.Vote), Answers: v.Answers,
				Gone: v.Gone, Term: v.Term, Last: v.Last, Applied: v.Applied})
	}
	return out, nil
}

// operateRecover has the farm go on without the lost.
func (o *operators) operateRecover(ctx context.Context, req adminwire.Request) (any, error) {
	if now := o.self().cluster; req.Cluster != now {
		return nil, otherFarm(req.Cluster, now)
	}
	o.log.Warn("an operator gives nodes up and has this farm go on without them", "lost", req.Lost)
	err := o.recoverSoon(ctx, req.Cluster, req.Lost)
	if errors.Is(err, errHalfWay) {
		return nil, err // which is no refusal: those say that nothing has changed
	}
	if errors.Is(err, wire.ErrHasQuorum) || errors.Is(err, wire.ErrNotReformed) ||
		errors.Is(err, wire.ErrWordGiven) {
		if d := o.instance().witness.divergence(); d.stop {
			err = fmt.Errorf("%w; %s", err, d.text)
		}
		return nil, adminwire.Failed(admin.ErrRefused, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return admin.Recovered{ClusterID: o.self().cluster}, nil
}

// recoverPatience is for how long a recovery is tried again: who has just lost its leader may not know it
// yet.
const recoverPatience = 5 * time.Second

func (o *operators) recoverSoon(ctx context.Context, cluster string, lost []string) error {
	for end := time.Now().Add(recoverPatience); ; {
		err := o.recovery.recover(ctx, cluster, lost)
		passing := errors.Is(err, wire.ErrHasQuorum) || errors.Is(err, wire.ErrNotReformed)
		if !passing || time.Now().After(end) || !sleep.For(ctx, recoverPatience/10) {
			return err
		}
	}
}
