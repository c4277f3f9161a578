package configsync

import (
	"context"
	"errors"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Health is what a node says of itself after a switch.
type Health struct {
	Node   string
	Unwell string // why it is not well; "" = it is
}

// Confirm reports whether this node is well after the switch of a rollout: it uses the release, and
// Settings.SelfCheck has nothing against it. That it is not well is a Health. Errors, which say that there is
// no answer: ErrClosed, or ctx's own.
func (m *Manager) Confirm(ctx context.Context, rollout uint64) (Health, error) {
	h := Health{Node: m.s.Node}
	short, cancel := context.WithTimeout(ctx, selfCheckTime)
	defer cancel()
	err := m.await(short, func() bool {
		if m.Usable() != nil {
			return false
		}
		r, ok := m.now.Load().source.Rollout(rollout)
		return ok && r.Phase != PhaseStaging
	})
	switch {
	case ctx.Err() != nil || m.ctx.Err() != nil:
		return h, err
	case err != nil:
		if err = m.Usable(); err == nil {
			err = errors.New("it has not heard of the switch")
		}
		h.Unwell = cut(err.Error(), state.MaxReason)
		return h, nil
	}
	err = m.selfCheck(ctx)
	if ctx.Err() != nil {
		return h, ctx.Err()
	}
	if err != nil && m.unwell.Load() == rollout {
		m.log.Warn("the self-check fails, as it did before the switch: that says nothing of a release for which this "+
			"node has to be started again", "rollout", rollout, "err", err)
		return h, nil
	}
	if err != nil {
		m.sayPanic("self-check", err)
		h.Unwell = cut("self-check: "+err.Error(), state.MaxReason)
	}
	return h, nil
}

// selfCheck asks the program whether this node is well.
func (m *Manager) selfCheck(ctx context.Context) error {
	if m.s.SelfCheck == nil {
		return nil
	}
	_, err := call(ctx, &m.strays, errand{what: "self-check", limit: selfCheckTime}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, m.s.SelfCheck(ctx)
	}, nil)
	return err
}

// checkBefore looks whether this node is unwell already before the switch of a rollout, if it has to be started again
// for that. It may be so by what it has begun with, and get well by nothing else.
func (m *Manager) checkBefore(ctx context.Context, st *staged, rollout uint64) {
	begun := m.begun.Load()
	if begun == nil || !begun.told || len(begun.changedIn(st)) == 0 || m.selfCheck(ctx) == nil {
		m.unwell.CompareAndSwap(rollout, 0)
		return
	}
	m.unwell.Store(rollout)
}

// confirmWindow decides how a rollout ends that was switched: whether it is confirmed, or taken back.
type confirmWindow struct {
	m     *Manager
	r     Rollout
	begun time.Time
	nodes map[string]*nodeHealth // by name: those that were ready at the switch
}

// nodeHealth is what is known of one node since the switch. The zero nodeHealth has not answered yet.
type nodeHealth struct {
	well    bool   // it was heard last, and said so
	unwell  string // why it is not, by its last answer; "" = it is, or it has given none
	failing int    // how often in a row it has said that it is not
}

// failingTimes is how often in a row a node has to say that it is not well.
const failingTimes = 3

// healthAnswer is one answer of a node, or why there is none.
type healthAnswer struct {
	node string
	Health
	err error
}

// confirmOrReturn asks the nodes of a rollout whether they are well until it is decided, and has the log take the
// decision.
func (m *Manager) confirmOrReturn(ctx context.Context, r Rollout) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &confirmWindow{m: m, r: r, begun: time.Now(), nodes: map[string]*nodeHealth{}}
	answers := make(chan healthAnswer)
	for _, node := range r.Ready {
		w.nodes[node] = &nodeHealth{}
		m.note(r.ID, node, func(p *NodeProgress) { p.Step = max(p.Step, StepSwitched) })
		go m.askHealth(ctx, r.ID, node, answers)
	}
	over := time.NewTimer(r.Plan.Confirm)
	defer over.Stop()
	bake := time.NewTimer(r.Plan.Bake)
	defer bake.Stop()
	for {
		if why := w.failing(); why != "" {
			m.giveBack(ctx, r, why)
			return
		}
		if time.Since(w.begun) >= r.Plan.Bake && w.allWell() {
			m.confirm(ctx, r)
			return
		}
		select {
		case a := <-answers:
			w.take(a)
		case <-bake.C:
		case <-over.C:
			if why := w.verdict(); why != "" {
				m.giveBack(ctx, r, why)
			} else {
				m.confirm(ctx, r)
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// askHealth asks a node again and again.
func (m *Manager) askHealth(ctx context.Context, rollout uint64, node string, to chan<- healthAnswer) {
	for {
		h, err := m.s.Peers.Confirm(ctx, node, rollout)
		select {
		case to <- healthAnswer{node, h, err}:
		case <-ctx.Done():
			return
		}
		if sleep.For(ctx, askAgain); ctx.Err() != nil {
			return
		}
	}
}

func (w *confirmWindow) take(a healthAnswer) {
	p := w.nodes[a.node]
	switch {
	case a.err != nil:
		p.well = false
	case a.Unwell != "":
		p.well, p.unwell = false, a.Unwell
		p.failing++
	default:
		p.well, p.unwell, p.failing = true, "", 0
	}
	w.m.note(w.r.ID, a.node, func(n *NodeProgress) {
		n.Refused, n.Unreachable = p.unwell, a.err != nil
		if p.well {
			n.Step = StepConfirmed
		}
	})
}

func (w *confirmWindow) allWell() bool {
	for _, p := range w.nodes {
		if !p.well {
			return false
		}
	}
	return true
}

// failing returns why the farm has to go back at once; "" = it need not.
func (w *confirmWindow) failing() string {
	return w.say("not well", func(p *nodeHealth) (string, bool) { return p.unwell, p.failing >= failingTimes })
}

// verdict returns why the farm has to go back when the time is over; "" = all is well, or well enough: nodes
// that were not heard are taken for unreachable, unless they are so many that the release may be the cause.
func (w *confirmWindow) verdict() string {
	if why := w.say("not well", func(p *nodeHealth) (string, bool) { return p.unwell, p.unwell != "" }); why != "" {
		return why
	}
	well := 0
	for _, p := range w.nodes {
		if p.well {
			well++
		}
	}
	if well > len(w.nodes)/2 {
		return ""
	}
	return w.say("not heard after the switch", func(p *nodeHealth) (string, bool) { return "no answer", !p.well })
}

// say names the nodes of which something is so; "" if it is of none.
func (w *confirmWindow) say(what string, so func(*nodeHealth) (string, bool)) string {
	nodes := map[string]string{}
	for node, p := range w.nodes {
		if why, yes := so(p); yes {
			nodes[node] = why
		}
	}
	return listed(what, nodes)
}
