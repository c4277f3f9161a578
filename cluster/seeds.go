package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// seeds is what the Join list stands for. All of it is looked up again and again: a name, this node's own as
// well, may stand for nothing yet when the node starts, and for another address later.
type seeds struct {
	cfg    Config
	lookup lookup
	own    func(addr string) bool

	mu sync.Mutex
	// entries that are this node's own address, and have been once: that does not change
	mine  map[string]bool
	among string              // an entry that stands for other nodes as well as this one
	found map[string][]string // by entry, the addresses of others that it stood for at the last look
	blind map[string]error    // by entry, why it stood for nothing at the last look
	said  map[string]bool     // entries that stand for nothing, which has been said
}

func newSeeds(c Config, look lookup, own func(addr string) bool) *seeds {
	return &seeds{cfg: c, lookup: look, own: own, mine: map[string]bool{}, found: map[string][]string{},
		blind: map[string]error{}}
}

// addrs looks all entries up, at once, and returns the addresses of others.
func (s *seeds) addrs(ctx context.Context) (out []string) {
	of := make([][]string, len(s.cfg.Join))
	var wg sync.WaitGroup
	for i, entry := range s.cfg.Join {
		wg.Go(func() { of[i] = s.look(ctx, entry) })
	}
	wg.Wait()
	return slices.Concat(of...)
}

// look looks one entry up and returns the addresses of others.
func (s *seeds) look(ctx context.Context, entry string) (others []string) {
	found, err := s.lookup.resolve(ctx, entry)
	others = slices.DeleteFunc(slices.Clone(found), s.own)
	if len(others) < len(found) {
		s.recognise(entry, found, others)
	}
	s.note(entry, others, err)
	return others
}

func (s *seeds) note(entry string, others []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[entry] = others
	if delete(s.blind, entry); err != nil {
		s.blind[entry] = err
	}
}

// lookedUp returns what every entry that is not this node's own address stood for at the last look, and why
// some stood for nothing.
func (s *seeds) lookedUp() (found map[string][]string, blind map[string]error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = maps.Clone(s.found)
	maps.DeleteFunc(found, func(entry string, _ []string) bool { return s.mine[entry] })
	return found, maps.Clone(s.blind)
}

// takeUnsaid returns, in order, the entries that have come to stand for nothing since it was called last, and
// why all do that stand for nothing.
func (s *seeds) takeUnsaid() (news []string, blind map[string]error) {
	_, blind = s.lookedUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	said := map[string]bool{}
	for _, entry := range slices.Sorted(maps.Keys(blind)) {
		if said[entry] = true; !s.said[entry] {
			news = append(news, entry)
		}
	}
	s.said = said
	return news, blind
}

// whole reports whether every entry stood for something at the last look.
func (s *seeds) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.blind) == 0
}

// recognise notes that an entry stands for this node, and whether for other nodes as well.
func (s *seeds) recognise(entry string, found, others []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mine[entry] = true
	for _, addr := range others {
		alike := func(a string) bool { return s.own(a) && isIPv4(a) == isIPv4(addr) }
		// else it is another way to this machine
		if slices.ContainsFunc(found, alike) && !onThisMachine(addr) {
			s.among = entry
		}
	}
}

// shared returns an entry that stands for several nodes, this one among them; "" if there is none, or Expect
// is set.
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

// resolve returns the IP addresses, with port, that addr stands for: at least one, or an error. It asks the
// resolver for names only; memberlist would try DNS over TCP first.
func (look lookup) resolve(ctx context.Context, addr string) (out []string, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ips, err := look(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("the name %s has no address", host)
	}
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, port))
	}
	return out, nil
}
