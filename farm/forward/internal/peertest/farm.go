// Package peertest stands for a cluster in the tests of a gate: members, their tags, and connections between
// them over loopback.
package peertest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// Farm is the cluster. New makes one; it is safe for concurrent use.
type Farm struct {
	// Wire returns what Dial returns for a connection to the member of this ID. nil = the connection. It is set
	// before the first Dial.
	Wire func(to string, c net.Conn) net.Conn

	t testing.TB

	mu      sync.Mutex
	members map[string]*Member // by ID; guarded by mu
	changed broadcast.Signal   // of members
}

// Member is one node as its own gate sees the cluster: a forward.Peers. Its fields are changed within
// Farm.Change alone.
type Member struct {
	ID          string
	Role        cluster.Role
	Status      cluster.Status
	Tags        map[string]string
	Unreachable bool // dialling it fails

	farm      *Farm
	listeners map[string]net.Listener // by protocol; guarded by farm.mu
}

// New returns a Farm without members.
func New(t testing.TB) *Farm {
	return &Farm{t: t, members: make(map[string]*Member)}
}

// Join adds a member, which is alive; its name is the ID in capitals. It has what is in tags.
func (f *Farm) Join(id string, role cluster.Role, tags map[string]string) *Member {
	m := &Member{ID: id, Role: role, Status: cluster.Alive, Tags: maps.Clone(tags), farm: f,
		listeners: make(map[string]net.Listener)}
	f.Change(func() { f.members[id] = m })
	return m
}

// Change has what changed, and tells everybody who watches.
func (f *Farm) Change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
	f.changed.Notify()
}

func (f *Farm) state() (cluster.State, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var st cluster.State
	for _, m := range f.members {
		st.Members = append(st.Members, cluster.Member{
			ID:     m.ID,
			Name:   strings.ToUpper(m.ID),
			Status: m.Status,
			Role:   m.Role,
			Tags:   maps.Clone(m.Tags),
		})
	}
	return st, f.changed.Next()
}

// Watch yields the present state, and the newest one after changes.
func (m *Member) Watch(ctx context.Context) iter.Seq[cluster.State] {
	return func(yield func(cluster.State) bool) {
		for {
			st, changed := m.farm.state()
			if !yield(st) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// SetTag changes a tag.
func (m *Member) SetTag(key, value string) error {
	m.farm.Change(func() { m.Tags[key] = value })
	return nil
}

// Listener has a port of its own for each protocol, whatever it is called.
func (m *Member) Listener(proto string) net.Listener {
	m.farm.mu.Lock()
	defer m.farm.mu.Unlock()
	if m.listeners[proto] == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err) // a test without loopback
		}
		m.farm.t.Cleanup(func() { l.Close() })
		m.listeners[proto] = l
	}
	return m.listeners[proto]
}

// Dial connects to a member that listens.
func (m *Member) Dial(ctx context.Context, id, proto string) (net.Conn, error) {
	m.farm.mu.Lock()
	to := m.farm.members[id]
	var l net.Listener
	if to != nil && !to.Unreachable {
		l = to.listeners[proto]
	}
	m.farm.mu.Unlock()
	if l == nil {
		return nil, errors.New(id + " cannot be reached by " + proto)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err == nil && m.farm.Wire != nil {
		c = m.farm.Wire(id, c)
	}
	return c, err
}
