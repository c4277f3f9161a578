package farmtest

import "slices"

// Partition cuts every path between nodes of different groups. Nodes in no group form one more. It replaces the
// Partition before. Clients reach every node all the same: they are on its side.
func (f *Farm) Partition(groups ...[]*Node) {
	f.mu.Lock()
	f.partition = slices.Clone(groups)
	f.mu.Unlock()
	f.applyFaults()
}

// Cut stops everything on its way from one node to another; what goes the other way still arrives.
func (f *Farm) Cut(from, to *Node) {
	f.mu.Lock()
	f.cuts = append(f.cuts, [2]*Node{from, to})
	f.mu.Unlock()
	f.applyFaults()
}

// Heal ends the partition and all cuts.
func (f *Farm) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partition, f.cuts = nil, nil
	f.network.Heal()
}

// applyFaults tells the network about the faults, by the nodes' present addresses.
func (f *Farm) applyFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.cuts {
		f.network.Cut(c[0].address(), c[1].address())
	}
	if f.partition == nil {
		return
	}
	groups := make([][]string, len(f.partition))
	for i, g := range f.partition {
		for _, n := range g {
			groups[i] = append(groups[i], n.address(), n.visitor)
		}
	}
	f.network.Partition(groups...)
}
