package configsync

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Write is what every change says of itself.
type Write struct {
	// Epoch is the one that the writer has looked at; 0 = nothing was in force. If it is not in force any more,
	// nothing changes.
	Epoch uint64

	// Who and Why are kept with the epoch: up to 256 and 1024 bytes of text.
	Who, Why string

	// Key is random text of up to 64 bytes, the same whenever one write is repeated: a write that has been done
	// is not done again. "" = it will not be repeated.
	Key string
}

// Change sets and removes files, all or none.
type Change struct {
	Write
	Set    Files
	Remove []string // paths; what is not there need not be removed
}

// Put changes files of what is in force, and switches every node to what comes out. It returns the epoch
// then in force, which is Write.Epoch if nothing had to be changed. This node uses it when Put returns.
//
// Everything is checked before, for all kinds of nodes that files are about, with the types of this node's
// program.
//
// Errors: Problems; ErrConflict, ErrLocal, ErrTooLarge, ErrUncertain, ErrNoLeader, ErrOverloaded, ErrLevel,
// ErrClosed, or ctx's own. Nothing has changed then, save that nobody knows after ErrUncertain.
func (m *Manager) Put(ctx context.Context, c Change) (epoch uint64, err error) {
	cmd := state.Put{Write: state.Write(c.Write)}
	for _, path := range slices.Sorted(maps.Keys(c.Set)) {
		cmd.Changes = append(cmd.Changes, state.Change{Path: path, Text: c.Set[path]})
	}
	for _, path := range c.Remove {
		if _, set := c.Set[path]; !set {
			cmd.Changes = append(cmd.Changes, state.Change{Path: path, Delete: true})
		}
	}
	return m.write(ctx, c.Write, cmd.Append(nil), func(s *state.State) (Files, error) {
		return filesOf(s, s.Current().Revision).With(c), nil
	})
}

// With returns the files after a change.
func (f Files) With(c Change) Files {
	out := maps.Clone(f)
	if out == nil {
		out = Files{}
	}
	for _, path := range c.Remove {
		delete(out, path)
	}
	maps.Copy(out, c.Set)
	return out
}

// Rollback puts the files of an earlier epoch in force again, as a new epoch. It checks them as Put does:
// what was valid once need not be any more. Errors: those of Put, and ErrNoEpoch.
func (m *Manager) Rollback(ctx context.Context, w Write, to uint64) (epoch uint64, err error) {
	cmd := state.Activate{Write: state.Write(w), Again: to}.Append(nil)
	return m.write(ctx, w, cmd, func(s *state.State) (Files, error) {
		e, ok := s.Epoch(to)
		if !ok {
			return nil, fmt.Errorf("%w: %d", ErrNoEpoch, to)
		}
		return filesOf(s, e.Revision), nil
	})
}

// write checks what a command would lead to and has it carried out.
func (m *Manager) write(ctx context.Context, w Write, cmd []byte,
	result func(*state.State) (Files, error)) (uint64, error) {
	if m.s.Log == nil {
		return 0, ErrLocal
	}
	if err := m.s.Log.Barrier(ctx); err != nil {
		return 0, err
	}
	s := m.s.Local().State()
	if now := s.Current().Number; now == w.Epoch { // else the answer says why not, or that it was done before
		files, err := result(s)
		if err == nil {
			err = m.check(s, files)
		}
		if err != nil {
			return now, err
		}
	}
	index, value, err := m.s.Log.Propose(ctx, cmd)
	if err != nil && index == 0 {
		return 0, err
	}
	m.refresh()
	a, err := state.DecodeAnswer(value)
	if err != nil {
		return 0, err
	}
	return a.Epoch, outcome(a, w)
}

func outcome(a state.Answer, w Write) error {
	switch a.Status {
	case state.Done, state.Same:
		return nil
	case state.Conflict:
		return fmt.Errorf("%w: that was epoch %d, and %d is in force", ErrConflict, w.Epoch, a.Epoch)
	case state.NoEpoch:
		return ErrNoEpoch
	case state.TooLarge:
		return fmt.Errorf("configsync: a revision has at most %d files with %d bytes: %w", state.MaxFiles,
			state.MaxBytes, ErrTooLarge)
	}
	return fmt.Errorf("configsync: the log does not take this: who has at most %d bytes, why %d, key %d, a "+
		"path %d, and all is UTF-8", state.MaxWho, state.MaxWhy, state.MaxKey, state.MaxPath)
}

// check checks files that would follow a state. Those that stay as they are may be of configs that this
// program does not know: several programs can share a farm.
func (m *Manager) check(s *state.State, files Files) error {
	old := filesOf(s, s.Current().Revision)
	return check(m.declared, files, m.opener(), m.roles(), func(path string) bool {
		text, there := old[path]
		return !there || text != files[path]
	})
}

func (m *Manager) roles() map[string]string {
	out := map[string]string{}
	if m.s.Roles != nil {
		for node, role := range m.s.Roles() {
			out[node] = role
			if role == "" {
				out[node] = ordinary
			}
		}
	}
	out[m.s.Node] = m.s.Role
	return out
}

// Check reports what is wrong with files as what follows in this farm, as Put does. The error is a Problems.
func (m *Manager) Check(files Files) error { return m.check(m.s.Local().State(), files) }

func filesOf(s *state.State, revision uint64) Files {
	files := Files{}
	for _, f := range s.Files(revision) {
		files[f.Path] = f.Text
	}
	return files
}

// Epochs returns the epochs that are kept, up to 50, the newest last.
func (m *Manager) Epochs() []Epoch { return m.s.Local().State().Epochs() }

// Files returns the files of an epoch that is kept, and the epoch; 0 = the one in force. The error is
// ErrNoEpoch.
func (m *Manager) Files(number uint64) (Files, Epoch, error) {
	s := m.s.Local().State()
	e, ok := s.Epoch(number)
	if number == 0 {
		e, ok = s.Current(), true
	}
	if !ok {
		return nil, Epoch{}, fmt.Errorf("%w: %d", ErrNoEpoch, number)
	}
	return filesOf(s, e.Revision), e, nil
}
