package cluster

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// operateLeave has a member leave for good, unless the others could not go on without it.
func (o *operators) operateLeave(ctx context.Context, req adminwire.Request) error {
	m, err := o.wanted(req.Node)
	if err != nil {
		return err
	}
	if m.Status != roster.Alive {
		return adminwire.Failed(admin.ErrRefused,
			"%s is %s and cannot leave by itself; if it does not come back, "+
				"remove it: farmctl leave -dead %s", m.Name, m.Status, m.Name)
	}
	s := o.members.situation()
	voters, living := s.Majority(m.Node, s.Stays)
	switch {
	case len(s.Servers) > 1 && voters == 0:
		return adminwire.Failed(admin.ErrRefused, "%s is the only voter; wait until another node votes",
			m.Name)
	case len(s.Servers) <= 1:
		return adminwire.Failed(admin.ErrRefused, "%s is the only member; to end the farm, stop it", m.Name)
	case living <= voters/2:
		return adminwire.Failed(admin.ErrRefused,
			"without %s the farm would have %d voters and %d of them alive, and "+
				"not about to stop: no majority, so no more writes; bring another one back first, or wait until "+
				"those that leave are gone",
			m.Name, voters, living)
	}
	if m.Node != o.id {
		return o.passOn(ctx, m.Node, req)
	}
	o.beginLeave()
	return nil
}

// wanted returns the member whom an operator means.
func (o *operators) wanted(node string) (*roster.Sighting, error) {
	if s := o.directory.Get(node); s != nil {
		return s, nil
	}
	for _, srv := range o.instance().configuration().Servers {
		if wire.NodeOf(string(srv.ID)) == node {
			return &roster.Sighting{Node: node, Status: roster.Dead, Meta: roster.Meta{Name: node}}, nil
		}
	}
	return nil, adminwire.Failed(admin.ErrNoMember, "%s knows no member with the NodeID %q", o.cfg.Name, node)
}

const leavePatience = 30 * time.Second

// beginLeave lets the program begin to leave, once.
func (o *operators) beginLeave() {
	if o.askedToLeave.Swap(true) {
		return
	}
	leave := o.cfg.Program.Leave
	if leave == nil {
		leave = o.leaveAtOnce
	}
	go leave() // what it ends with is Leave, which Close waits for
}

func (o *operators) leaveAtOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	if err := o.node.Leave(ctx); err != nil {
		o.log.Error("this node was to leave the farm", keyError, err)
	}
}

// operateRemove has the leader take a dead member out of the configuration.
func (o *operators) operateRemove(ctx context.Context, req adminwire.Request) error {
	if _, err := o.wanted(req.Node); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	leader, _ := o.instance().leader.get()
	if err := o.reads.barrier(asking); leader == "" || err != nil {
		return adminwire.Failed(admin.ErrNoQuorum,
			"%s finds no majority of the voters, and nobody can be removed without; "+
				"bring one back, or see farmctl recover", o.cfg.Name)
	}
	if wire.NodeOf(leader) != o.id {
		return o.passOn(ctx, wire.NodeOf(leader), req)
	}
	return o.bury(ctx, req.Node)
}

// bury takes a dead node out of the configuration, as the leader.
func (o *operators) bury(ctx context.Context, node string) error {
	l := o.instance().leading.now()
	if l == nil {
		return adminwire.Failed(admin.ErrNoQuorum, "the leader changed meanwhile; try again")
	}
	if err := l.await(ctx); err != nil {
		return err
	}
	m, err := o.wanted(node)
	if err != nil {
		return err
	}
	if m.Status == roster.Alive || node == o.id {
		return adminwire.Failed(admin.ErrRefused, "%s is alive; have it leave: farmctl leave %s", m.Name,
			m.Name)
	}
	for _, srv := range o.members.situation().Servers {
		if srv.Node != node {
			continue
		}
		if err := l.controlling.carryOut(voting.Change{Kind: voting.Remove, Server: srv.ID}); err != nil {
			return err
		}
		o.log.Warn("an operator had a dead member removed", keyPeer, m.Name, keyServer, srv.ID)
		o.changed.Notify()
	}
	o.directory.End(node)
	return nil
}
