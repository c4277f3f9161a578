package configsync

import (
	"cmp"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
)

// target is a node as files know it.
type target struct{ node, role string }

// String returns "", "role front", "node n1" or "node n1 of role front".
func (t target) String() string {
	switch {
	case t.node != "" && t.role != ordinary:
		return "node " + t.node + " of role " + t.role
	case t.node != "":
		return "node " + t.node
	case t.role != ordinary:
		return "role " + t.role
	}
	return ""
}

// ordinary is the role of a node that has none.
const ordinary = "ordinary"

// targets returns every kind of node that documents are about, those of no name first.
func targets(docs []*layer.Document, roles map[string]string) []target {
	nodes, kinds := []string{""}, []string{ordinary}
	for _, d := range docs {
		switch d.Rank {
		case layer.Node:
			nodes = append(nodes, d.Name)
		case layer.Role:
			kinds = append(kinds, d.Name)
		}
	}
	var out []target
	for _, node := range nodes {
		for _, role := range kinds {
			if known, ok := roles[node]; ok && node != "" {
				role = known
			}
			out = append(out, target{node, role})
		}
	}
	slices.SortFunc(out, func(a, b target) int {
		// roles backwards: "ordinary" before "front"
		return cmp.Or(cmp.Compare(a.node, b.node), -cmp.Compare(a.role, b.role))
	})
	return slices.Compact(out)
}
