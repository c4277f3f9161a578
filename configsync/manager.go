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
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/internal/broadcast"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Settings are what a Manager is made of. The zero Settings have every config at its defaults, for ever.
type Settings struct {
	// Configs are those of this program; others cannot be read.
	Configs []Declared

	// Node and Role say which layers hold for this node: its name, and ordinary, front or staging; "" =
	// ordinary.
	Node, Role string

	// Program is the version of this program, such as 1.4.0, and Level the protocol level that it speaks:
	// releases may need some. "" and 0 = unknown, which is enough for those that need none.
	Program string
	Level   uint64

	// Log, Local and Changed are the replicated machine: its log; this node's copy of it, asked for each time
	// because it may be replaced; and the channel that NewMachine got, which may be nil. A nil Log: nothing can
	// be written.
	Log     Log
	Local   func() *Machine
	Changed <-chan struct{}

	// Farm is the name of the farm, for which every content has to be signed. "" = nobody asks for signatures.
	Farm string

	// Content keeps the content of releases. nil = releases with content are refused.
	Content Contents

	// CheckContent reports whether this program can use the content of a release, such as its templates. It is
	// called before anything is switched, also when the content is that of another release; an error, a panic, or
	// no return within 10 s, at which ctx ends, refuses the release. nil = any content will do.
	CheckContent func(ctx context.Context, files fs.FS) error

	// Pins keep what pages need in the releases that the pages are of. nil = everybody gets the release in force.
	Pins *content.Pins

	// Peers are the members of the farm, which have to be ready before anything is switched. nil = this node
	// alone is asked.
	Peers Peers

	// Prepare are hooks around a switch, made by Config.OnPrepare.
	Prepare []Hook

	// SelfCheck reports whether this node is well after a switch, for example by a request to itself. It has
	// 5 s, and is called again after an error. nil = it is if it uses the release.
	SelfCheck func(ctx context.Context) error

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

// tell says to all who wait for news that there is some.
func (m *Manager) tell() { m.news.Notify() }

// Changed returns a channel that is closed when something has happened: another state of the log, a release
// that is ready here, progress of a rollout. Take it before you look.
func (m *Manager) Changed() <-chan struct{} { return m.news.Next() }

// values makes the values of files, for this node.
func (m *Manager) values(files Files) ([]*value, error) {
	docs, ps := m.readOwn(files, m.opener())
	return m.valuesOf(docs, ps)
}

// Status is how a node stands to what is in force.
type Status struct {
	Epoch    uint64 // in force in the farm, as far as this node knows; 0 = nothing ever was
	Revision uint64
	Release  uint64   // in force on this node: that of a canary, if it is one
	Canary   bool     // it is
	Uses     uint64   // the epoch that this node uses: Epoch, unless there is a Problem
	Problem  string   // why this node does not use Epoch, or not yet; "" = it does
	Restart  []string // fields, such as site.listen, that have changed since this process began; see RestartDue
}

// Status returns how this node stands.
func (m *Manager) Status() Status {
	s := m.glance()
	e := s.source.Current()
	r, canary := s.source.For(m.s.Node)
	st := Status{Epoch: e.Number, Revision: r.Revision, Release: r.ID, Canary: canary, Uses: s.epoch}
	if s.problem != nil {
		st.Problem = s.problem.Error()
	}
	if begun := m.begun.Load(); begun != nil {
		st.Restart = begun.changedIn(s.staged)
	}
	return st
}

// Usable returns nil if this node uses what is in force for it, and else why not, or not yet. A node that does
// not must not answer anybody: it would show what is no longer in force. It comes after by itself. Usable does
// not wait.
func (m *Manager) Usable() error {
	s := m.now.Load()
	if !m.committing.Load() {
		s = m.refresh()
	}
	if e := m.saw.Load(); e != nil && e.epoch > s.source.Current().Number && time.Since(e.at) < evidenceTime {
		return fmt.Errorf("%w: another node has shown epoch %d", ErrBehind, e.epoch)
	}
	return s.problem
}

// evidence is an epoch that somebody has shown to be in force.
type evidence struct {
	epoch uint64
	at    time.Time
}

// evidenceTime is how long what was seen counts: who is in touch with others sees it again and again. If the
// farm was put back to a backup, its epochs may be lower than they were.
const evidenceTime = 10 * time.Second

// Saw tells that another node, or a cookie that a node has signed, says that an epoch is in force. Until this
// node knows of it, it is not Usable, unless nobody speaks of it any more for 10 s.
func (m *Manager) Saw(epoch uint64) {
	e := m.saw.Load()
	if e != nil && e.epoch > epoch && time.Since(e.at) < evidenceTime || epoch <= m.now.Load().source.Current().Number {
		return
	}
	m.saw.Store(&evidence{epoch, time.Now()})
	m.tell()
	time.AfterFunc(evidenceTime, m.tell) // who waits looks again
}

// AwaitUsable returns nil when this node uses what is in force, or ctx's error.
func (m *Manager) AwaitUsable(ctx context.Context) error {
	return m.await(ctx, func() bool { return m.Usable() == nil })
}

// await returns nil when something is so, or ctx's error, or ErrClosed.
func (m *Manager) await(ctx context.Context, so func() bool) error {
	for {
		news := m.Changed()
		if so() {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return ErrClosed
		}
	}
}
