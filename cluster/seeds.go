package cluster

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// seeds is what the Join list stands for. All of it is looked up again and again: a name, this node's own as well, may stand
// for nothing yet when the node starts, and for another address later.
type seeds struct {
	cfg Config
	own func(addr string) bool

	mu    sync.Mutex
	mine  map[string]bool // entries that are this node's own address, and have been once: that does not change
	among string          // an entry that stands for other nodes as well as this one
	blind bool            // at the last look some entry stood for nothing
}

func newSeeds(c Config, own func(addr string) bool) *seeds {
	return &seeds{cfg: c, own: own, mine: map[string]bool{}}
}

// addrs looks all entries up and returns the addresses of others.
func (s *seeds) addrs(ctx context.Context) (out []string) {
	blind := false
	for _, entry := range s.cfg.Join {
		found := s.cfg.resolve(ctx, entry)
		blind = blind || len(found) == 0
		others := slices.DeleteFunc(slices.Clone(found), s.own)
		if len(others) < len(found) {
			s.recognise(entry, found, others)
		}
		out = append(out, others...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = blind
	return out
}

// whole reports whether every entry stood for something at the last look.
func (s *seeds) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.blind
}

// recognise notes that an entry stands for this node, and whether for other nodes as well.
func (s *seeds) recognise(entry string, found, others []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mine[entry] = true
	for _, addr := range others {
		alike := func(a string) bool { return s.own(a) && isIPv4(a) == isIPv4(addr) }
		if slices.ContainsFunc(found, alike) && !onThisMachine(addr) { // else it is another way to this machine
			s.among = entry
		}
	}
}

// shared returns an entry that stands for several nodes, this one among them; "" if there is none, or Expect is set.
func (s *seeds) shared() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Expect > 0 {
		return ""
	}
	return s.among
}

// founders returns how many nodes found the farm together, 0 if this one is not to found any.
func (s *seeds) founders() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cfg.Expect > 0:
		return s.cfg.Expect
	case s.among != "":
		return 0
	case !slices.ContainsFunc(s.cfg.Join, func(entry string) bool { return !s.mine[entry] }):
		return 1
	case len(s.mine) > 0:
		return len(s.cfg.Join)
	}
	return 0
}

func isIPv4(addr string) bool {
	a, err := netip.ParseAddrPort(addr)
	return err == nil && a.Addr().Unmap().Is4()
}

// onThisMachine reports whether an interface of this machine has the IP of addr.
func onThisMachine(addr string) bool {
	host, _ := splitAddr(addr)
	have, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(have, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(net.ParseIP(host))
	})
}

// lookup returns the IP addresses of a host.
type lookup func(ctx context.Context, host string) ([]string, error)

// resolve returns the IP addresses, with port, that addr stands for. It asks the resolver for names only; memberlist
// would try DNS over TCP first.
func (c *Config) resolve(ctx context.Context, addr string) (out []string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	if net.ParseIP(host) != nil {
		return []string{addr}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ips, err := c.lookup(ctx, host)
	if err != nil {
		return nil
	}
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, port))
	}
	return out
}
