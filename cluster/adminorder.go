package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// operateOrder has the program of a member do what an operator wants of it.
func (o *operators) operateOrder(ctx context.Context, req adminwire.Request) error {
	m, err := o.wanted(req.Node)
	if err != nil {
		return err
	}
	if m.Status != roster.Alive {
		return adminwire.Failed(admin.ErrRefused, "%s is %s", m.Name, m.Status)
	}
	if m.Node != o.id {
		return o.passOn(ctx, m.Node, req)
	}
	return o.giveOrder(ctx, req.Order)
}

// giveOrder gives an order to the program on this node.
func (o *operators) giveOrder(ctx context.Context, order string) error {
	if o.cfg.Program.Order == nil {
		return adminwire.Failed(admin.ErrRefused, "the program on %s takes no orders", o.cfg.Name)
	}
	if err := o.cfg.Program.Order(ctx, order); err != nil {
		return o.programFailed(ctx, err)
	}
	return nil
}

// askProgram has the program on this node answer what an operator asks.
func (o *operators) askProgram(ctx context.Context, words []string) (any, error) {
	if o.cfg.Program.Ask == nil || len(words) == 0 {
		return nil, adminwire.Failed(admin.ErrRefused, "the program on %s answers no questions", o.cfg.Name)
	}
	v, err := o.cfg.Program.Ask(ctx, words)
	if err != nil {
		return nil, o.programFailed(ctx, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cluster: Config.Program.Ask returned what is no JSON: %w", err)
	}
	return json.RawMessage(b), nil
}

// programFailed says what an error of the program on this node means to an operator: that nothing was done,
// and why, or that nobody knows. What is certain goes first: such an error may have the context's in it as
// well.
func (o *operators) programFailed(ctx context.Context, err error) error {
	is := admin.ErrRefused
	switch {
	case errors.Is(err, ErrUncertain), errors.Is(err, ErrClosed):
		is = admin.ErrInterrupted
	case errors.Is(err, ErrNoLeader):
		is = admin.ErrNoQuorum
	case errors.Is(err, ErrOverloaded), errors.Is(err, admin.ErrNotNow):
		is = admin.ErrNotNow
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		is = admin.ErrInterrupted
	}
	return adminwire.Failed(is, "%s: %v", o.cfg.Name, err)
}
