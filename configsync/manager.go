package configsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Manager is one node's share in the releases of a farm. Its methods are safe for concurrent use.
type Manager struct {
	s        Settings
	log      *slog.Logger
	declared []*declaration
	defaults *staged // of the release 0
	keys     *secret.Keys
	tryAgain atomic.Bool // a key was missing that may come in a moment

	now      atomic.Pointer[snapshot] // the newest; replaced under mu
	mu       sync.Mutex
	draft    atomic.Pointer[staged] // what somebody works on; nil = nothing
	previews map[digest]*snapshot   // of releases that are not in force; guarded by mu
	ready    map[digest]*staged     // releases made ready; guarded by mu
	prepared *prepared              // hooks that have run for one of them; guarded by mu
	failed   *failure               // the last attempt to become ready for what is in force; guarded by mu
	undone   chan struct{}          // closed when the hooks that were given up last are undone; guarded by mu
	begun    atomic.Pointer[start]  // nil until Begun, or until somebody looks
	due      atomic.Pointer[knownDue]
	saw      atomic.Pointer[evidence]
	strays   strays
	unwell   atomic.Uint64 // the rollout before whose switch this node was found unwell; 0 = none

	committing atomic.Bool // hooks commit, under mu: they may look at what is in use, and not wait for mu

	news    broadcast.Signal // of whatever happens
	staging chan struct{}    // has room for one: who stages
	late    chan struct{}    // has room for one: something in force is not ready here
	rollout board            // what this node knows of a rollout
	kept    []blob.Hash      // what Contents was told to keep; follow's own
	cache   *content.Cache
	nothing fs.FS // without files

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns a Manager. Close it.
//
// Errors: a config that is listed wrongly; with a Path, what is wrong with the files, and those of reading
// them.
func New(s Settings) (*Manager, error) {
	m, err := newManager(s)
	if err != nil {
		return nil, fault.Config(err)
	}
	m.wg.Go(m.catchUp)
	if s.Path != "" {
		w := newWatched(m, s.Path)
		m.s.Log, m.s.Local = nil, w.local
		if err := w.read(); err != nil {
			m.Close()
			return nil, fault.Config(fmt.Errorf("configsync: %w", err))
		}
		m.wg.Go(w.run)
	}
	m.settled()
	m.wg.Go(m.follow)
	if m.s.Content != nil {
		m.wg.Go(m.readyRetained)
	}
	if m.s.Log != nil {
		m.wg.Go(m.drive)
	}
	return m, nil
}

func newManager(s Settings) (*Manager, error) {
	ds, err := declarations(s.Configs)
	if err != nil {
		return nil, err
	}
	for _, h := range s.Prepare {
		if h.d == nil || !slices.Contains(ds, h.d) {
			return nil, errors.New("configsync: a hook in Settings.Prepare is of no config that is listed")
		}
	}
	s.Role = cmp.Or(s.Role, ordinary)
	m := &Manager{s: s, log: cmp.Or(s.Logger, slog.Default()), declared: ds, ready: map[digest]*staged{},
		staging: make(chan struct{}, 1), late: make(chan struct{}, 1)}
	m.undone = make(chan struct{})
	close(m.undone)
	if m.keys, err = secret.NewKeys(s.Keys, s.ConfigKeys); err != nil {
		return nil, fmt.Errorf("configsync: %w", err)
	}
	m.cache = content.NewCache(0)
	none, err := content.New(nil, nil, content.Limits{})
	if err != nil {
		return nil, fmt.Errorf("configsync: no content: %w", err)
	}
	m.nothing = content.NewFS(none, m.s.Content)
	empty := state.NewMachine(nil)
	if s.Local == nil {
		m.s.Local = func() *Machine { return empty }
	}
	if m.s.Peers == nil {
		m.s.Peers = newAlone(m)
	}
	values, err := m.values(nil)
	if err != nil {
		return nil, fmt.Errorf("configsync: the defaults: %w", err)
	}
	for i, d := range ds {
		d.hint.Store(uint32(i))
	}
	nothing := &state.State{}
	m.defaults = &staged{digest: nothing.Digest(Release{}), values: values}
	m.ready[m.defaults.digest] = m.defaults
	m.now.Store(newSnapshot(nothing, m.defaults, use{}, nil))
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Close ends what the Manager does in the background, and gives up what was prepared. Values can still be
// read. It does not wait for hooks and checks of the program that hang.
func (m *Manager) Close() error {
	m.stop()
	m.wg.Wait()
	m.mu.Lock()
	m.giveUpLocked()
	undone := m.undone
	m.mu.Unlock()
	select {
	case <-undone:
	case <-time.After(codeTime):
	}
	return nil
}

// lookEvery is how often a Manager looks by itself: a machine that takes the place of another says nothing.
const lookEvery = time.Second

// follow switches to what has come into force, so that nobody has to wait for it.
func (m *Manager) follow() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.s.Changed:
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
		m.refresh()
		m.keepContent()
	}
}
