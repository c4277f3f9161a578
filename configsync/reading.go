package configsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// values makes the values of files, for this node.
func (m *Manager) values(files Files) ([]*value, error) {
	docs, ps := m.readOwn(files, m.opener())
	return m.valuesOf(docs, ps)
}

// readOwn reads the files of this program's configs. Those of other programs' configs do not matter.
func (m *Manager) readOwn(files Files, o secret.Opener) (documents, Problems) {
	docs, _, ps := readAll(m.declared, files, o, func(string) bool { return false })
	return docs, ps
}

// valuesOf makes the values of documents, for this node. ps is what was wrong with them before.
func (m *Manager) valuesOf(docs documents, ps Problems) ([]*value, error) {
	out := make([]*value, len(m.declared))
	for i, d := range m.declared {
		v, wrong := d.value(layer.For(docs[d], m.s.Node, m.s.Role))
		out[i], ps = v, append(ps, wrong...)
	}
	return out, ps.Err()
}

// treesOf returns what a revision has for this node outside of sections, as far as this program can read it.
func (m *Manager) treesOf(s *state.State, revision uint64) map[*declaration]*tree.Node {
	docs, _ := m.readOwn(filesOf(s, revision), m.opener().Lenient())
	out := map[*declaration]*tree.Node{}
	for _, d := range m.declared {
		out[d] = d.effective(layer.For(docs[d], m.s.Node, m.s.Role), "")
	}
	return out
}

// DiffFiles is Diff of files.
func (m *Manager) DiffFiles(old, files Files) ([]Difference, error) {
	was, wrong := m.readOwn(old, m.opener().Lenient())
	is, ps := m.readOwn(files, m.opener().Lenient())
	if err := append(ps, wrong...).Err(); err != nil {
		return nil, err
	}
	var out []Difference
	for _, d := range m.declared {
		out = append(out, d.diff(was[d], is[d], m.roles())...)
	}
	return out, nil
}

// Check reports what is wrong with files as what follows in this farm, as Put does. The error is a Problems.
func (m *Manager) Check(files Files) error { return m.check(m.s.Local().State(), files) }

// check checks files that would follow a state. Those that stay as they are may be of configs that this
// program does not know: several programs can share a farm.
func (m *Manager) check(s *state.State, files Files) error {
	old := inForce(s)
	_, err := call(m.ctx, &m.strays, errand{what: "check", limit: codeTime}, func(context.Context) (struct{}, error) {
		return struct{}{}, check(m.declared, files, m.opener(), m.roles(), func(path string) bool {
			text, there := old[path]
			return !there || text != files[path]
		})
	}, nil)
	switch ps := (Problems)(nil); {
	case err == nil || errors.As(err, &ps):
		return err
	case m.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, ErrOverloaded): // which is no fault of the files
		return fmt.Errorf("%w: the configuration cannot be checked at the moment: %w; try again", ErrOverloaded, err)
	}
	m.sayPanic("checking the configuration", err)
	return Problems{{Text: "checking the configuration: " + err.Error()}}
}

func (m *Manager) roles() map[string]string {
	out := map[string]string{}
	if m.s.Roles != nil {
		for node, role := range m.s.Roles() {
			out[node] = cmp.Or(role, ordinary)
		}
	}
	out[m.s.Node] = m.s.Role
	return out
}

// opener returns what becomes of secrets in files on this node.
func (m *Manager) opener() secret.Opener {
	return secret.Opener{Plain: m.s.Path != "", Open: func(at secret.Place, token string) (Secret, error) {
		s, err := m.keys.Open(at, token)
		if errors.Is(err, keyring.ErrNotYet) {
			m.tryAgain.Store(true)
		}
		return s, err
	}}
}
