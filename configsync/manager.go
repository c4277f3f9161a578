package configsync

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Settings are what a Manager is made of. The zero Settings have every config at its defaults, for ever.
type Settings struct {
	// Configs are those of this program; others cannot be read.
	Configs []Declared

	// Node and Role say which layers hold for this node: its name, and ordinary, front or staging; "" =
	// ordinary.
	Node, Role string

	// Log, Local and Changed are the replicated machine: its log; this node's copy of it, asked for each time
	// because it may be replaced; and the channel that NewMachine got, which may be nil. A nil Log: nothing can
	// be written.
	Log     Log
	Local   func() *Machine
	Changed <-chan struct{}

	// Keys is the key ring, by whose keys of KeyPurpose secrets in files are sealed; see Secret. nil = there can
	// be none, save in plain text in the files of Path.
	Keys *keyring.Ring

	// ConfigKeys are keys of the operators', of 32 characters at least, which the farm does not know: secrets
	// are sealed by the first of them as well, and opened by any. All nodes have the same. nil = the key ring's
	// alone.
	ConfigKeys []string

	// Roles returns the roles of the farm's nodes, by name, as far as they are known: files are checked for
	// what each of them would get. nil = nothing is known.
	Roles func() map[string]string

	// Path, for development, is a file or a folder which is read instead of the replicated files, and again
	// whenever it has changed. A file stands for the global layer of the config that its name says. "" = none.
	Path string

	// Logger; nil = slog.Default().
	Logger *slog.Logger
}

// Manager is one node's share in the configuration of a farm. Its methods are safe for concurrent use.
type Manager struct {
	s        Settings
	log      *slog.Logger
	declared []*declaration
	keys     *secret.Keys
	tryAgain atomic.Bool // a key was missing that may come in a moment

	now     atomic.Pointer[snapshot] // the newest; replaced under mu
	mu      sync.Mutex
	first   []*value // what was in force when somebody looked for the first time; guarded by mu
	looked  atomic.Bool
	done    chan struct{}
	closing sync.Once
	wg      sync.WaitGroup
}

// New returns a Manager. Close it.
//
// Errors: a config that is listed wrongly; with a Path, what is wrong with the files, and those of reading
// them.
func New(s Settings) (*Manager, error) {
	ds, err := declarations(s.Configs)
	if err != nil {
		return nil, fault.Config(err)
	}
	s.Role = cmp.Or(s.Role, ordinary)
	m := &Manager{s: s, log: s.Logger, declared: ds, done: make(chan struct{})}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.keys, err = secret.NewKeys(s.Keys, s.ConfigKeys); err != nil {
		return nil, fault.Config(fmt.Errorf("configsync: %w", err))
	}
	empty := state.NewMachine(nil)
	if s.Local == nil {
		m.s.Local = func() *Machine { return empty }
	}
	first, err := m.values(&state.State{})
	if err != nil {
		return nil, fault.Config(fmt.Errorf("configsync: the defaults: %w", err))
	}
	m.now.Store(newSnapshot(&state.State{}, 0, first, nil))
	for i, d := range ds {
		d.hint.Store(uint32(i))
	}
	if s.Path != "" {
		w := newWatched(m, s.Path)
		m.s.Log, m.s.Local = nil, w.local
		if err := w.read(); err != nil {
			return nil, fault.Config(fmt.Errorf("configsync: %w", err))
		}
		m.wg.Go(w.run)
	}
	m.refresh()
	if len(ds) > 0 {
		m.wg.Go(m.follow)
	}
	return m, nil
}

// Close ends what the Manager does in the background. Values can still be read.
func (m *Manager) Close() error {
	m.closing.Do(func() { close(m.done) })
	m.wg.Wait()
	return nil
}

// lookEvery is how often a Manager looks by itself: a machine that takes the place of another says nothing.
const lookEvery = time.Second

// follow makes the values of what has come into force, so that nobody has to wait for them.
func (m *Manager) follow() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.s.Changed:
		case <-tick.C:
		case <-m.done:
			return
		}
		if m.tryAgain.Swap(false) {
			m.remake()
		}
		m.refresh()
	}
}

// remake makes the values anew of what is in force.
func (m *Manager) remake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.now.Load()
	m.now.Store(m.after(old, old.source))
	close(old.replaced)
}

// look returns the values of what is in force, for somebody who uses them.
func (m *Manager) look() *snapshot {
	s := m.refresh()
	if !m.looked.Load() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.first == nil {
			s = m.now.Load()
			m.first = s.values
			m.looked.Store(true)
		}
	}
	return s
}

// refresh returns the values of what is in force. Making them is done by the first who comes; the others
// wait for it.
func (m *Manager) refresh() *snapshot {
	source := m.s.Local().State()
	if s := m.now.Load(); s.source == source {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	source = m.s.Local().State() // there may be a newer one by now
	old := m.now.Load()
	if old.source == source {
		return old
	}
	next := m.after(old, source)
	m.now.Store(next)
	close(old.replaced)
	return next
}

// after returns the snapshot that comes after old. Values that have not changed are the same objects.
func (m *Manager) after(old *snapshot, source *state.State) *snapshot {
	values, err := m.values(source)
	if err != nil && old.problem != nil && old.problem.Error() == err.Error() {
		return newSnapshot(source, old.epoch, old.values, err) // that was said
	}
	if err != nil {
		m.log.Error("this program cannot use the configuration that is in force, and keeps what it had; is it "+
			"older than that?", "epoch", source.Current().Number, "keeps", old.epoch, "err", err)
		return newSnapshot(source, old.epoch, old.values, err)
	}
	for i, v := range values {
		if was := old.get(v.d); v.same(was) {
			values[i] = was
		}
	}
	if e := source.Current(); e.Number != old.epoch {
		m.log.Info("configuration switched", "epoch", e.Number, "revision", e.Revision, "who", e.Who, "why", e.Why)
	}
	return newSnapshot(source, source.Current().Number, values, nil)
}

// values makes the values of a state, for this node. Files of other programs' configs do not matter.
func (m *Manager) values(source *state.State) ([]*value, error) {
	files := Files{}
	for _, f := range source.Files(source.Current().Revision) {
		files[f.Path] = f.Text
	}
	docs, _, ps := readAll(m.declared, files, m.opener(), func(string) bool { return false })
	out := make([]*value, len(m.declared))
	for i, d := range m.declared {
		v, wrong := d.value(layer.For(docs[d], m.s.Node, m.s.Role))
		out[i], ps = v, append(ps, wrong...)
	}
	return out, ps.Err()
}

// Status is how a node stands to what is in force.
type Status struct {
	Epoch    uint64 // in force in the farm, as far as this node knows; 0 = nothing ever was
	Revision uint64
	Uses     uint64   // the epoch whose values this node uses: Epoch, unless there is a Problem
	Problem  string   // why this node cannot use Epoch; "" = it does
	Restart  []string // fields, such as site.listen, that have changed since they were used first
}

// Status returns how this node stands.
func (m *Manager) Status() Status {
	s := m.refresh()
	e := s.source.Current()
	st := Status{Epoch: e.Number, Revision: e.Revision, Uses: s.epoch}
	if s.problem != nil {
		st.Problem = s.problem.Error()
	}
	m.mu.Lock()
	first := m.first
	m.mu.Unlock()
	for _, was := range first {
		for _, d := range was.d.differences(was.base.tree, s.get(was.d).base.tree) {
			if d.Restart {
				st.Restart = append(st.Restart, was.d.name+"."+d.Field)
			}
		}
	}
	slices.Sort(st.Restart)
	return st
}

// Usable returns nil if this node has values of what is in force, or had those of an earlier epoch; and else
// why not. With the defaults alone it must not answer anybody while others have something else.
func (m *Manager) Usable() error {
	s := m.refresh()
	if s.problem != nil && s.epoch == 0 {
		return s.problem
	}
	return nil
}

// Errors of writing.
var (
	// ErrConflict says that another epoch is in force than the writer knew: somebody was faster. Look, and
	// decide again.
	ErrConflict = errors.New("configsync: the configuration has changed since it was looked at")

	// ErrNoEpoch says that an epoch is not kept any more, or never was.
	ErrNoEpoch = errors.New("configsync: no such epoch is kept")

	// ErrLocal says that the configuration comes from files of this machine (development), or that there is no
	// log.
	ErrLocal = errors.New("configsync: the configuration of this node comes from its own files: change those")

	// ErrTooLarge says that a revision would be over a limit.
	ErrTooLarge = fault.ErrTooLarge

	// ErrUncertain says that a write may or may not have happened. With the same Key it can be repeated safely.
	ErrUncertain = fault.ErrUncertain
)
