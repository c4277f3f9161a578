package admin

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sync"
)

// nodes are the addresses by which a client reaches its farm, and in which order.
type nodes struct {
	given []string // those of the configuration, spread

	mu     sync.Mutex
	heard  []string       // of members that nodes told of
	last   string         // that was connected to
	passed map[string]int // how often each was passed over
}

// spread returns addresses in an order that is always the same for one client, and another one for others: so
// not all ask the same node, and one finds again what he has just left at a node, such as a part of an
// upload.
func spread(of string, addrs []string) []string {
	out := slices.Clone(addrs)
	if of == "" {
		return out
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(rank(of, a), rank(of, b)) })
	return out
}

// rank is highest random weight hashing: an address that comes or goes leaves the order of the others as it
// is.
func rank(of, addr string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(of + "\x00" + addr))
	n := h.Sum64() // whose upper bits hardly depend on the last bytes
	n ^= n >> 32
	n *= 0x9e3779b97f4a7c15
	return n ^ n>>29
}

// addrs returns where to connect to, the best one first.
func (n *nodes) addrs() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := slices.Clone(n.given)
	for _, addr := range n.heard {
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(n.passed[a], n.passed[b]) })
	return out
}

// connected notes which one was connected to.
func (n *nodes) connected(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = addr
}

func (n *nodes) passOver() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.passed == nil {
		n.passed = map[string]int{}
	}
	if n.last != "" {
		n.passed[n.last]++
		n.last = ""
	}
}

// learn keeps where other members are: those given may leave.
func (n *nodes) learn(f Farm) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = nil
	for _, m := range f.Members {
		if m.Status == Alive && m.Addr != "" {
			n.heard = append(n.heard, m.Addr)
		}
	}
}
