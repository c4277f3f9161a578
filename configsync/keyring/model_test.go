package keyring

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// TestModel has nodes that are behind, cut off and restarted rotate, revoke and retire keys at random.
// Whatever one of them signs at any moment, none of the others takes it for forged, or for expired before its
// time.
func TestModel(t *testing.T) {
	first, runs := uint64(1), 30
	if ci.Torture() {
		runs = 5000
	}
	if s := os.Getenv("WEBFARM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, runs = seed, 1
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		m := newModel(t, seed)
		for range 300 {
			m.step()
		}
		m.converge()
		if t.Failed() {
			t.Fatalf("WEBFARM_SEED=%d go test -run TestModel ./configsync/keyring", seed)
		}
	}
}

type model struct {
	*farm
	t      *testing.T
	rand   *rand.Rand
	now    time.Time
	truth  *Machine // has applied the whole log
	follow int
	rings  []*Ring
	signed []signature
}

// signature is what a node signed, with the key that it had for that.
type signature struct {
	id     uint32
	secret Secret
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{farm: newFarm(5), t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: epoch, truth: NewMachine()}
	m.clock = func() time.Time { return m.now }
	for i, n := range m.nodes {
		n.slow = true
		m.rings = append(m.rings, m.ring(i))
	}
	if err := m.rings[0].Ensure(t.Context(), "session"); err != nil {
		t.Fatal(err)
	}
	m.verify(m.any())
	return m
}

func (m *model) any() int { return m.rand.IntN(len(m.nodes)) }

func (m *model) step() {
	i := m.any()
	n, r, ctx := m.nodes[i], m.rings[i], m.t.Context()
	newest := n.local().Newest("session")
	switch m.rand.IntN(16) {
	case 0, 1:
		r.rotate(ctx, "session", newest, time.Duration(m.rand.IntN(3))*time.Hour)
	case 2, 3, 4:
		m.activate(i)
	case 5:
		r.propose(ctx, retire{"session"}.encode())
	case 6:
		if newest > 0 && m.rand.IntN(3) == 0 {
			from := 1 + m.rand.Uint32N(newest)
			r.Revoke(ctx, "session", from, from+m.rand.Uint32N(3))
		}
	case 7:
		m.now = m.now.Add(time.Duration(m.rand.IntN(60)) * time.Minute)
	case 8:
		if !n.cut && m.rand.IntN(2) == 0 {
			n.setCut(true)
		}
	case 9, 10:
		n.setCut(false)
	case 11: // it starts again from a snapshot of its own
		n.machine = restored(m.t, snapshot(m.t, n.machine))
	case 12: // it follows
		if !n.cut {
			n.Barrier(ctx)
		}
	default:
		m.sign(i)
	}
	m.verify(m.any())
}

// activate is what keeper.introduce does: with all members, or, at times, without those that are cut off.
func (m *model) activate(i int) {
	n, r := m.nodes[i], m.rings[i]
	k := inState((*n.local().rings.Load())["session"], Pending)
	if k == nil || n.cut {
		return
	}
	err := n.Spread(m.t.Context(), n.Applied())
	if err != nil && m.rand.IntN(3) > 0 {
		return
	}
	accept := time.Duration(m.rand.IntN(5)) * time.Hour
	if r.activate(m.t.Context(), "session", k.id, 0, accept) != nil || err != nil {
		return
	}
	for j := range m.nodes {
		if _, ok := m.rings[j].Key("session", k.id); !ok && m.state(k.id).live() {
			m.t.Errorf("key %d signs by n%d, and n%d does not have it", k.id, i+1, j+1)
		}
	}
}

func (m *model) sign(i int) {
	if id, secret, ok := m.rings[i].Current("session"); ok {
		m.signed = append(m.signed, signature{id, Secret(secret)})
	}
}

// state returns the state of a key by the whole log; Retired if it is forgotten.
func (m *model) state(id uint32) State {
	for ; m.follow < len(m.entries); m.follow++ {
		e := m.entries[m.follow]
		m.truth.Apply(uint64(m.follow+1), e.now, e.cmd)
	}
	for _, i := range m.truth.List() {
		if i.ID == id {
			return i.State
		}
	}
	return Retired
}

// verify has a node look at something that was signed, as package session does.
func (m *model) verify(i int) {
	if len(m.signed) == 0 {
		return
	}
	s, n, r := m.signed[m.rand.IntN(len(m.signed))], m.nodes[i], m.rings[i]
	key, ok := r.Key("session", s.id)
	if !ok {
		if err := r.Await(m.t.Context(), "session", s.id); err != nil {
			if !errors.Is(err, ErrNotYet) || !n.cut {
				m.t.Errorf("n%d, cut off: %v, says of key %d: %v", i+1, n.cut, s.id, err)
			}
			return
		}
		key, ok = r.Key("session", s.id)
	}
	switch {
	case ok && Secret(key) != s.secret:
		m.t.Errorf("n%d has another key %d", i+1, s.id)
	case !ok && m.state(s.id).live():
		m.t.Errorf("n%d refuses what key %d has signed, which is %v", i+1, s.id, m.state(s.id))
	}
}

// converge checks that all come to the same in the end.
func (m *model) converge() {
	for _, n := range m.nodes {
		n.setCut(false)
		n.Barrier(m.t.Context())
	}
	m.state(0)
	for _, n := range m.nodes {
		if !bytes.Equal(snapshot(m.t, n.machine), snapshot(m.t, m.truth)) {
			m.t.Errorf("%s differs from what the log says", n.name)
		}
	}
}
