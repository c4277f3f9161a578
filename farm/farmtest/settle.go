package farmtest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

const (
	patience = 2 * time.Minute
	pollEach = 20 * time.Millisecond
)

// poll calls try until it returns "", and returns the problem that is left after the given time.
func poll(limit time.Duration, try func() (problem string)) (problem string) {
	tick := time.NewTicker(pollEach)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if problem = try(); problem == "" || !time.Now().Before(end) {
			return problem
		}
	}
}

// Leader returns the node that leads: that every other node believes in, or a majority if the farm is partitioned. It
// waits for one, and fails the test if there is none within two minutes.
func (f *Farm) Leader() (leader *Node) {
	f.t.Helper()
	problem := poll(patience, func() string {
		for _, n := range f.Running() {
			if n.leads() {
				leader = n
				return ""
			}
		}
		return "no running node leads"
	})
	if problem != "" {
		ci.Latef(f.t, "farmtest: no leader within %v: %s", patience, problem)
	}
	return leader
}

// leads reports whether this node has just proved that it leads.
func (n *Node) leads() bool {
	l := n.running()
	if l == nil {
		return false
	}
	c := l.farm.Cluster()
	claims := func() bool { s := c.State(); return s.Leader == s.Self }
	return claims() && barrier(c, time.Second) == nil && claims()
}

// machine is one that every node has.
const machine = "session"

func barrier(c *cluster.Node, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return c.Handle(machine).Barrier(ctx)
}

// Settle waits until the farm has come to rest: one leader, every running node a caught-up member that serves and knows
// which others do, and all of them at the same index, with the same state. It fails the test if that takes longer than
// two minutes. A partitioned farm does not settle. A node that was told to drain need not serve.
func (f *Farm) Settle() {
	f.t.Helper()
	if problem := f.settle(); problem != "" {
		ci.Latef(f.t, "farmtest: the farm did not settle within %v: %s", patience, problem)
	}
}

// await waits until try returns "", and else fails the test.
func (f *Farm) await(what string, try func() (problem string)) {
	f.t.Helper()
	if problem := poll(patience, try); problem != "" {
		ci.Latef(f.t, "farmtest: %s within %v: %s", what, patience, problem)
	}
}

func (f *Farm) settle() (problem string) {
	return poll(patience, func() string {
		views := f.views()
		if problem := disagreement(views); problem != "" {
			return problem
		}
		for _, v := range views {
			if err := barrier(v.life.farm.Cluster(), 5*time.Second); err != nil {
				return fmt.Sprintf("%s: %v", v.life.node, err)
			}
		}
		return f.compare(views)
	})
}

// view is what a running node knows.
type view struct {
	life *life
	cluster.State
}

func (f *Farm) views() (all []view) {
	for _, n := range f.Nodes {
		if l := n.running(); l != nil {
			all = append(all, view{l, l.farm.Cluster().State()})
		}
	}
	return all
}

// disagreement says in what the nodes are not one farm at rest, "" if they are.
func disagreement(views []view) string {
	running, drained := make(map[string]bool), make(map[string]bool)
	for _, v := range views {
		running[v.Self], drained[v.Self] = true, v.life.drained.Load()
	}
	for _, v := range views {
		switch {
		case v.Divergence != "":
			return fmt.Sprintf("%s knows of copies of the state that differ: %s", v.life.node, v.Divergence)
		case !v.Ready:
			return fmt.Sprintf("%s is not ready", v.life.node)
		case v.Leader != views[0].Leader || !running[v.Leader]:
			return fmt.Sprintf("%s believes in leader %q, %s in %q", v.life.node, v.Leader, views[0].life.node, views[0].Leader)
		}
		if problem := v.misjudged(running, drained); problem != "" {
			return fmt.Sprintf("%s sees %s", v.life.node, problem)
		}
	}
	return ""
}

// misjudged says about which member the view is wrong.
func (v view) misjudged(running, drained map[string]bool) string {
	seen := 0
	for _, m := range v.Members {
		alive := m.Status == cluster.Alive
		switch {
		case alive != running[m.ID]:
			return fmt.Sprintf("%s %s, which is not so", m.Name, m.Status)
		case alive && m.Role == cluster.Ordinary && !drained[m.ID] && m.Tags[tagGate] != serving:
			return fmt.Sprintf("%s not serving", m.Name)
		case alive && m.Vote == "":
			return fmt.Sprintf("%s out of the configuration", m.Name)
		case alive:
			seen++
		}
	}
	if seen != len(running) {
		return fmt.Sprintf("%d of %d members", seen, len(running))
	}
	return ""
}

// quorate reports whether the running nodes are enough to elect a leader.
func (f *Farm) quorate() bool {
	views := f.views()
	running := make(map[string]bool)
	for _, v := range views {
		running[v.Self] = true
	}
	for _, v := range views {
		voters, present := 0, 0
		for _, m := range v.Members {
			if m.Vote == cluster.Voter {
				voters++
				if running[m.ID] && m.Status == cluster.Alive {
					present++
				}
			}
		}
		if present <= voters/2 {
			return false
		}
	}
	return len(views) > 0
}

// compare checks that nodes at the same index have the same state. It reports a problem while they are not at the same
// index.
func (f *Farm) compare(views []view) (problem string) {
	var first []byte
	var at uint64
	for i, v := range views {
		var b bytes.Buffer
		index, err := v.life.farm.Cluster().WriteSnapshot(&b)
		switch {
		case err != nil:
			return fmt.Sprintf("%s: %v", v.life.node, err)
		case i == 0:
			first, at = b.Bytes(), index
		case index != at:
			return fmt.Sprintf("%s has applied %d, %s %d", v.life.node, index, views[0].life.node, at)
		case !bytes.Equal(b.Bytes(), first):
			f.t.Errorf("farmtest: at index %d the states of %s (%d bytes) and %s (%d bytes) differ", at,
				views[0].life.node, len(first), v.life.node, b.Len())
		}
	}
	return ""
}
