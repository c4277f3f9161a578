package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// Manager gives requests their sessions. Install its Handler around everything that uses them.
type Manager struct {
	store  Store
	cfg    Config
	index  string // name of the cookie that carries the index
	signer signer

	touches touchSet
	turns   turns
	history history
	badKeys sync.Map // names of keys whose value could not be decoded, once reported

	declared declarations
	full     fullLog

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns a Manager of the sessions in store. Close it before the store.
func New(store Store, cfg Config) (*Manager, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Keys == nil {
		if _, ok := store.(*memory); !ok {
			return nil, errors.New("session: Config.Keys is needed with this store: tokens signed with a key that only this " +
				"process knows would mean nothing to other nodes, and nothing after a restart")
		}
		cfg.Keys = newProcessKeys()
	}
	m := &Manager{store: store, cfg: cfg, index: cfg.Cookie.indexName(), signer: signer{ring: cfg.Keys},
		history: history{span: cfg.indexAge()}}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.wg.Go(func() { m.sendTouches(ctx) })
	m.wg.Go(func() { m.watchTicks(ctx) })
	m.wg.Go(func() { m.watchLimits(ctx) })
	return m, nil
}

// Close stops the work in the background and waits for it. Requests may go on, but sessions no longer note that they are
// used, and end all the sooner. It always returns nil.
func (m *Manager) Close() error {
	m.stop()
	m.wg.Wait()
	return nil
}

// do carries out cmd, bounded by the commit timeout besides ctx.
func (m *Manager) do(ctx context.Context, cmd Command) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.CommitTimeout)
	defer cancel()
	a, err := m.store.Do(ctx, cmd)
	m.noteFull(err)
	return a, err
}

// tickEvery is how old the last Tick gets before some node proposes another.
const tickEvery = 10 * time.Second

// watchTicks has sessions collected that have ended by time, and tombstones that have served theirs. Every node watches; the
// first to find the last Tick too old proposes the next one, and a random delay makes that nearly always one node. It also
// notes the index in passing.
func (m *Manager) watchTicks(ctx context.Context) {
	var last, seen time.Time // the last Tick, by the store's time, and when this node first saw it, by its own
	patience := tickPatience()
	for sleep.For(ctx, time.Second) {
		st, now := m.store.Status(), time.Now()
		m.history.note(st.Index, now)
		if !st.LastTick.Equal(last) || seen.IsZero() {
			last, seen, patience = st.LastTick, now, tickPatience()
		}
		if st.Sessions == 0 && st.Tombstones == 0 {
			seen = now
		}
		if now.Sub(seen) < patience {
			continue
		}
		m.tick(ctx)
		seen, patience = time.Now(), tickPatience()
	}
}

func tickPatience() time.Duration { return tickEvery + rand.N(tickEvery/2) }

// tick proposes Ticks until there is nothing more to collect. An error means that it is tried again later, here or
// elsewhere: nothing but memory depends on it.
func (m *Manager) tick(ctx context.Context) {
	for {
		a, err := m.do(ctx, Tick{})
		if err != nil {
			m.cfg.Logger.Debug("session: tick", "err", err)
			return
		}
		if !a.More || ctx.Err() != nil {
			return
		}
	}
}
