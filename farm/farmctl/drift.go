package farmctl

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

func driftVerb() *verb {
	return &verb{
		name: "drift", remote: true,
		short: "show which nodes do not use what is in force, and why",
		long: `
Asks every member what it uses, and compares that with what is in force: the epoch, a canary aside, whether it could
make that ready, and the canary for a share of the clients if there is one, fields that have their effect at a restart
only, and the version of the program. The exit code is 0 if all nodes are in step, and 5 if one is not, or cannot be
asked.`,
		define: defineRelease(nil, (*releaseCall).drift),
	}
}

// driftNode is how one member stands to what is in force.
type driftNode struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Program  string   `json:"program"` // version
	Epoch    uint64   `json:"epoch"`   // in force, as far as it knows
	Uses     uint64   `json:"uses"`
	Drift    []string `json:"drift"`     // in what it is not in step; empty = it is
	NotAsked string   `json:"not_asked"` // why nothing is known of it; "" = it was asked
}

// drift compares all members with what is in force.
func (c *releaseCall) drift(ctx context.Context) error {
	f, err := c.client.Farm(ctx)
	if err != nil {
		return err
	}
	var all order.Releases
	if err := c.program.get(ctx, order.PathReleases, &all); err != nil {
		return err
	}
	now, canary := uint64(0), []string(nil)
	if n := len(all.Epochs); n > 0 {
		now = all.Epochs[n-1].Epoch
	}
	if all.Canary != nil {
		canary = all.Canary.Nodes
	}
	versions := map[string]int{}
	var nodes []driftNode
	for _, m := range f.Members {
		if m.Status == admin.Left {
			continue
		}
		n := c.driftOf(ctx, m, now)
		if slices.Contains(canary, n.Name) {
			n.Drift = append(n.Drift, fmt.Sprintf("it shows the canary, release %d", all.Canary.Release))
		}
		versions[n.Program]++
		nodes = append(nodes, n)
	}
	sayVersions(nodes, versions)
	if err := c.printDrift(nodes, now); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.NotAsked != "" || len(n.Drift) > 0 {
			return fmt.Errorf("%w: not all nodes are in step; the list says what each of them lacks", admin.ErrRefused)
		}
	}
	return nil
}

// driftOf asks a member how it stands, and says in what it is not in step with the epoch in force, now.
func (c *releaseCall) driftOf(ctx context.Context, m admin.Member, now uint64) driftNode {
	n := driftNode{Name: nameOf(m), Role: m.Role, Program: m.Version, Drift: []string{}}
	st, notAsked := standing(ctx, c.client, m)
	if n.NotAsked = notAsked; notAsked != "" {
		return n
	}
	n.Epoch, n.Uses = st.Epoch, st.Uses
	switch {
	case st.Problem != "":
		n.Drift = append(n.Drift, "CANNOT USE IT: "+strings.ReplaceAll(st.Problem, "\n", "; "))
	case n.Epoch < now:
		n.Drift = append(n.Drift, fmt.Sprintf("it knows of epoch %d only", n.Epoch))
	}
	if st.Canary != "" {
		n.Drift = append(n.Drift, "DOES NOT SHOW THE CANARY: "+st.Canary)
	}
	if len(st.Restart) > 0 {
		n.Drift = append(n.Drift, needsRestart(st))
	}
	return n
}

// needsRestart says what a node has to be restarted for, and how that is done.
func needsRestart(s order.ConfigStatus) string {
	said := "NEEDS A RESTART for " + strings.Join(s.Restart, ", ")
	if s.How != "" {
		said += " (" + restartWord(s.How) + ")"
	}
	return said
}

// sayVersions notes whose program is of another version than that of most.
func sayVersions(nodes []driftNode, versions map[string]int) {
	most := ""
	for v, n := range versions {
		if n > versions[most] || n == versions[most] && v > most {
			most = v
		}
	}
	for i := range nodes {
		if n := &nodes[i]; n.Program != most {
			n.Drift = append(n.Drift, fmt.Sprintf("its program is %s, that of most is %s", cmp.Or(n.Program, "unknown"),
				cmp.Or(most, "unknown")))
		}
	}
}

func (c *releaseCall) printDrift(nodes []driftNode, now uint64) error {
	if c.json {
		return c.printJSON(map[string]any{"epoch": now, "nodes": nodes})
	}
	fmt.Fprintf(c.out, "Epoch %d is in force.\n", now)
	var rows [][]string
	for _, n := range nodes {
		uses, said := strconv.FormatUint(n.Uses, 10), "in step"
		if len(n.Drift) > 0 {
			said = strings.Join(n.Drift, "; ")
		}
		if n.NotAsked != "" {
			uses, said = "-", "not asked: "+n.NotAsked
		}
		rows = append(rows, []string{printable(n.Name), dash(n.Role), uses, dash(n.Program), printable(said)})
	}
	return table(c.out, []string{"NODE", "ROLE", "USES EPOCH", "PROGRAM", ""}, rows)
}
