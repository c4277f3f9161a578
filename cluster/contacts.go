package cluster

import (
	"slices"
	"sync"
)

const (
	mostContacts = 100
	mostRefusals = 1000
)

// contacts are addresses where others of the farm may be, known from an earlier run or by hearsay, and why
// nobody took a call at an address. The zero value knows none.
type contacts struct {
	mu       sync.Mutex
	addrs    []string
	refusals map[string]error // by address, why the last call there came to nothing
}

// add notes addresses where others may be.
func (c *contacts) add(addrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, addr := range addrs {
		if !slices.Contains(c.addrs, addr) && len(c.addrs) < mostContacts {
			c.addrs = append(c.addrs, addr)
		}
	}
}

// forget drops all addresses: gossip knows better.
func (c *contacts) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs = nil
}

// all returns the addresses.
func (c *contacts) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.addrs)
}

// called notes what became of a call, nil if somebody took it.
func (c *contacts) called(addr string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.refusals, addr)
	if err == nil || len(c.refusals) >= mostRefusals {
		return
	}
	if c.refusals == nil {
		c.refusals = map[string]error{}
	}
	c.refusals[addr] = err
}

// refusal returns why the last call to an address came to nothing; nil if it did not, or there was none.
func (c *contacts) refusal(addr string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusals[addr]
}
