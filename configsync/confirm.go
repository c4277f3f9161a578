package configsync

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// confirmWindow decides how a rollout ends that was switched: whether it is confirmed, or taken back.
type confirmWindow struct {
	board *board
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
func (dv *driver) confirmOrReturn(ctx context.Context, r Rollout) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &confirmWindow{board: dv.board, r: r, begun: time.Now(), nodes: map[string]*nodeHealth{}}
	answers := make(chan healthAnswer)
	for _, node := range r.Ready {
		w.nodes[node] = &nodeHealth{}
		dv.board.note(r.ID, node, func(p *NodeProgress) { p.Step = max(p.Step, StepSwitched) })
		go dv.askHealth(ctx, r.ID, node, answers)
	}
	over := time.NewTimer(r.Plan.Confirm)
	defer over.Stop()
	bake := time.NewTimer(r.Plan.Bake)
	defer bake.Stop()
	for {
		if why := w.failing(); why != "" {
			dv.giveBack(ctx, r, why)
			return
		}
		if time.Since(w.begun) >= r.Plan.Bake && w.allWell() {
			dv.confirm(ctx, r)
			return
		}
		select {
		case a := <-answers:
			w.take(a)
		case <-bake.C:
		case <-over.C:
			if why := w.verdict(); why != "" {
				dv.giveBack(ctx, r, why)
			} else {
				dv.confirm(ctx, r)
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// askHealth asks a node again and again.
func (dv *driver) askHealth(ctx context.Context, rollout uint64, node string, to chan<- healthAnswer) {
	for {
		h, err := dv.settings.Peers.Confirm(ctx, node, rollout)
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
	w.board.note(w.r.ID, a.node, func(n *NodeProgress) {
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
