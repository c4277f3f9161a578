package cluster

import (
	"context"
	"net"
	"slices"
	"time"
)

const (
	joinFirst    = 500 * time.Millisecond
	joinAlone    = 5 * time.Second  // the longest pause of a node that knows nobody
	joinTogether = 10 * time.Second // between attempts to find the missing
	stillAlone   = 10 * time.Second // between two lines that say so
)

// join keeps this node in touch with the others: it calls its seeds, and every configured member that is not alive, for
// ever. memberlist forgets the dead after half a minute and would never find the other half of a long partition.
func (n *Node) join() {
	pause := joinFirst
	said := time.Now()
	for {
		missing := n.missing()
		if len(missing) > 0 {
			n.gossip().list.Join(missing)
		}
		switch {
		case !n.alone():
			pause, n.oldPeers = joinTogether, nil // gossip knows better now
		case len(missing) > 0 && time.Since(said) > stillAlone:
			said = time.Now()
			n.log.Warn("no other node of the farm answers; this node keeps trying", "join", missing)
			fallthrough
		default:
			pause = min(pause*3/2, joinAlone)
		}
		if !n.sleepUnlessAlone(pause) {
			return
		}
	}
}

// sleepUnlessAlone waits, but not on, if the last other member is lost meanwhile.
func (n *Node) sleepUnlessAlone(d time.Duration) bool {
	alone := n.alone()
	end := time.Now().Add(d)
	for time.Now().Before(end) && n.alone() == alone {
		if !sleep(n.ctx, min(joinFirst, time.Until(end)+time.Millisecond)) {
			return false
		}
	}
	return n.ctx.Err() == nil
}

func (n *Node) alone() bool {
	return !slices.ContainsFunc(n.directory.all(), func(s *sighting) bool { return s.node != n.id && s.status == Alive })
}

// missing returns the addresses at which a member should be and nobody is known to be: resolved anew each time, this
// node's own left out.
func (n *Node) missing() []string {
	candidates := slices.Clone(n.seeds)
	for _, srv := range n.instance().configuration().Servers {
		if node := nodeOf(string(srv.ID)); node != n.id {
			candidates = append(candidates, n.directory.addr(node))
		}
	}
	candidates = append(candidates, n.oldPeers...)
	known := map[string]bool{"": true, n.advertise: true, n.port.Addr().String(): true}
	for _, s := range n.directory.all() {
		if s.status == Alive {
			known[s.addr] = true
		}
	}
	var out []string
	for _, c := range candidates {
		for _, addr := range resolve(n.ctx, c) {
			if !known[addr] {
				known[addr] = true
				out = append(out, addr)
			}
		}
	}
	return out
}

// resolve returns the IP addresses, with port, that addr stands for. It asks the resolver for names only; memberlist
// would try DNS over TCP first.
func resolve(ctx context.Context, addr string) (out []string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	if net.ParseIP(host) != nil {
		return []string{addr}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil
	}
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, port))
	}
	return out
}
