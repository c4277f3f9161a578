package configsync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Manager is one node's share in the releases of a farm. Its methods are safe for concurrent use. It puts its parts
// together, and its methods are what a program asks of them; what a part does, and under which lock, stands with the
// part.
type Manager struct {
	*base

	reading    *reading
	stock      *stock
	supply     *supply
	hooks      *hooks
	switching  *switching
	previewing *previewing
	drafts     *drafts
	restarts   *restarts
	usability  *usability
	board      *board
	selfChecks *selfChecks
	staging    *staging
	catchingUp *catchingUp
	retaining  *retaining
	proposing  *proposing
	holding    *holding
	driver     *driver
	overwrites *overwrites
	writing    *writing
	publishing *publishing
	dryRuns    *dryRuns

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
	m.wg.Go(m.catchingUp.run)
	if s.Path != "" {
		w := newWatched(m.reading, m.switching, s.Path)
		m.settings.Log, m.settings.Local = nil, w.local
		if err := w.read(); err != nil {
			m.Close()
			return nil, fault.Config(fmt.Errorf("configsync: %w", err))
		}
		m.wg.Go(w.run)
	}
	m.switching.settled()
	m.start()
	return m, nil
}

// newManager returns a Manager that does nothing in the background.
func newManager(s Settings) (*Manager, error) {
	b, err := newBase(s)
	if err != nil {
		return nil, err
	}
	m := &Manager{base: b}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if m.reading, err = newReading(b); err != nil {
		return nil, err
	}
	if m.supply, err = newSupply(b); err != nil {
		return nil, err
	}
	values, err := m.reading.values(nil)
	if err != nil {
		return nil, fmt.Errorf("configsync: the defaults: %w", err)
	}
	for i, d := range b.declared {
		d.hint.Store(uint32(i))
	}
	m.assemble(values)
	return m, nil
}

// assemble makes the other parts. What one has of another is its field; there is nothing else between them. defaults
// are the values without any files.
func (m *Manager) assemble(defaults []*value) {
	b, previews := m.base, &previews{}
	none := &staged{digest: new(state.State).Digest(Release{}), values: defaults}
	m.stock = newStock(none)
	m.hooks = newHooks(b)
	m.switching = newSwitching(b, m.hooks, m.stock, previews, none)
	m.previewing = &previewing{base: b, switching: m.switching, stock: m.stock, previews: previews}
	m.drafts = &drafts{base: b, reading: m.reading, supply: m.supply, switching: m.switching}
	m.restarts = &restarts{base: b, reading: m.reading, switching: m.switching}
	m.usability = &usability{base: b, switching: m.switching}
	m.board = &board{base: b}
	m.selfChecks = &selfChecks{base: b, switching: m.switching, usability: m.usability}
	m.proposing = &proposing{base: b, switching: m.switching}
	m.holding = &holding{base: b, proposing: m.proposing}
	m.staging = &staging{base: b, reading: m.reading, supply: m.supply, stock: m.stock, switching: m.switching,
		board: m.board, selfChecks: m.selfChecks, turn: make(chan struct{}, 1)}
	if b.settings.Peers == nil {
		b.settings.Peers = newAlone(b, m.staging, m.holding, m.selfChecks)
	}
	m.catchingUp = &catchingUp{base: b, switching: m.switching, staging: m.staging}
	m.retaining = &retaining{base: b, stock: m.stock, switching: m.switching, usability: m.usability,
		staging: m.staging}
	m.driver = &driver{base: b, board: m.board, holding: m.holding, proposing: m.proposing}
	m.overwrites = &overwrites{base: b, reading: m.reading, supply: m.supply}
	m.writing = &writing{base: b, reading: m.reading, switching: m.switching, usability: m.usability,
		restarts: m.restarts, proposing: m.proposing}
	m.publishing = &publishing{base: b, supply: m.supply, proposing: m.proposing, overwrites: m.overwrites,
		writing: m.writing}
	m.dryRuns = &dryRuns{base: b, reading: m.reading, restarts: m.restarts, board: m.board, driver: m.driver}
}

// start starts what goes on in the background; all of it ends with m.ctx.
func (m *Manager) start() {
	m.wg.Go(m.follow)
	if m.settings.Content != nil {
		m.wg.Go(m.retaining.run)
	}
	if m.settings.Log != nil {
		m.wg.Go(m.driver.run)
		m.wg.Go(m.holding.run)
	}
}

// Close ends what the Manager does in the background, and gives up what was prepared. Values can still be
// read. It does not wait for hooks and checks of the program that hang.
func (m *Manager) Close() error {
	m.stop()
	m.wg.Wait()
	m.switching.giveUp()
	ctx, cancel := context.WithTimeout(context.Background(), codeTime)
	defer cancel()
	m.hooks.awaitUndone(ctx)
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
		case <-m.settings.Changed:
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
		m.switching.refresh()
		m.supply.keep(m.drafts.now.Load())
	}
}

// Changed returns a channel that is closed when something has happened: another state of the log, a release
// that is ready here, progress of a rollout. Take it before you look.
func (m *Manager) Changed() <-chan struct{} { return m.changed() }
