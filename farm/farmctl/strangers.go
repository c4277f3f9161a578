package farmctl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// maxNamed is how many nodes are named where all of them would be meant.
const maxNamed = 20

// sayStrangers names the nodes that files of configuration are for and that nobody has heard of. Such a node is still
// to come, or its name is misspelled, and then the setting has no effect. If farm is nil, nothing is said.
func (c *call) sayStrangers(ctx context.Context, farm *admin.Client, files map[string]string) {
	layers := map[string]bool{}
	for file := range files {
		if rest, ok := strings.CutPrefix(file, "nodes/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			layers[name] = true
		}
	}
	if len(layers) == 0 || farm == nil {
		return
	}
	f, err := farm.Farm(ctx)
	if err != nil {
		return // what was asked for is done all the same
	}
	names := namesOf(f)
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		if !slices.Contains(names, name) {
			fmt.Fprintf(c.err, "nodes/%s: there is no node of that name, so its settings have no effect until one comes; there are: %s\n",
				printable(name), printable(strings.Join(names[:min(len(names), maxNamed)], ", ")))
		}
	}
}

// namesOf returns the names of the members that have not left for good, sorted.
func namesOf(f admin.Farm) (names []string) {
	for _, m := range f.Members {
		if m.Name != "" && m.Status != admin.Left {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
