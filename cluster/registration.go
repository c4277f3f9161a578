package cluster

import (
	"context"
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// The farm knows an origin by an entry in the log, its registration, before anything of it is applied. So
// what an origin sent can be told from what one sent that had its place before.

// introduce makes this origin known even before it has anything to propose.
func (o *originator) introduce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.introduced = true
	signal(o.wake)
}

// register makes this origin known, once, and again if the farm forgot it. False at the end of the instance.
func (o *originator) register() bool {
	var pause backoff
	for !o.isKnown() {
		g := wire.Registration{Origin: o.id, Server: o.server, Boot: o.boot, Floor: o.following()}
		err := o.askLeader(o.ctx, func(ctx context.Context, leader string) error {
			return o.registerAt(ctx, leader, g)
		})
		switch {
		case err == nil:
			o.setKnown(true)
			return true
		case errors.Is(err, wire.ErrSetBack):
			o.node.resets.reset(o.server, wire.ErrSetBack)
		}
		if !pause.wait(o.ctx) {
			return false
		}
	}
	return true
}

func (o *originator) isKnown() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known
}

func (o *originator) setKnown(known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = known
}

// registerAt asks a node that may lead, which may be this one.
func (o *originator) registerAt(ctx context.Context, leader string, g wire.Registration) error {
	if leader != o.server {
		_, _, err := o.node.peers.Call(ctx, wire.NodeOf(leader), wire.MethodRegister,
			wire.AppendRegistration(nil, g))
		return err
	}
	if l := o.leading.now(); l != nil {
		return l.sequencer.registerOrigin(ctx, g)
	}
	return wire.ErrNotLeader
}

// following returns the number of the next batch. A registration begins with it. If the farm knew this origin
// once, it has forgotten with that registration what became of the batches before, and they must not be
// applied again.
func (o *originator) following() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seq + 1
}

// answerRegister is the leader's side of registerAt.
func (ld *leading) answerRegister(ctx context.Context, from wire.Hello, payload []byte) error {
	r := wire.NewReader(payload)
	g := wire.ReadRegistration(r)
	if err := r.End(); err != nil {
		return err
	}
	l := ld.now()
	switch {
	case g.Server != from.Source:
		return wire.ErrNotMe
	case l == nil:
		return wire.ErrNotLeader
	}
	return l.sequencer.registerOrigin(ctx, g)
}

// registerOrigin makes an origin known.
func (s *sequencer) registerOrigin(ctx context.Context, g wire.Registration) error {
	if err := s.await(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	ok := s.enter(func() bool {
		entry := func() []byte {
			return wire.AppendRegistration(wire.EntryHeader(wire.EntryRegister, s.stamp()), g)
		}
		return s.flights.fly(entry, func(resp any, err error) { done <- registrationCode(resp, err) })
	})
	if !ok {
		return wire.ErrNotLeader
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// registrationCode sorts what became of the entry.
func registrationCode(resp any, err error) error {
	if err != nil {
		return err
	}
	if a, _ := resp.([]wire.Answer); len(a) == 1 {
		return a[0].Code.Err()
	}
	return ErrUncertain
}
