package configsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// reading reads files of configuration as this node does.
type reading struct {
	*base
	keys     *secret.Keys
	tryAgain atomic.Bool // a key was missing that may come in a moment
}

func newReading(b *base) (*reading, error) {
	keys, err := secret.NewKeys(b.settings.Keys, b.settings.ConfigKeys)
	if err != nil {
		return nil, fmt.Errorf("configsync: %w", err)
	}
	return &reading{base: b, keys: keys}, nil
}

// errKeyToCome says that a key which the files need has not come yet.
var errKeyToCome = errors.New("a key for secrets has not come to this node yet")

// judge makes the values of files. wrong is what is wrong with the files, for good. err is why nobody can tell: it may
// go better another time.
func (rd *reading) judge(ctx context.Context, files Files) (values []*value, wrong, err error) {
	rd.tryAgain.Store(false)
	values, wrong = rd.valuesInTime(ctx, files)
	switch ps := (Problems)(nil); {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case wrong == nil:
		return values, nil, nil
	case rd.tryAgain.Load():
		return nil, nil, fmt.Errorf("%w: %w", errKeyToCome, wrong)
	case !errors.As(wrong, &ps):
		rd.sayPanic("checking the configuration", wrong)
		return nil, nil, fmt.Errorf("checking the configuration: %w", wrong)
	}
	return values, wrong, nil
}

// valuesInTime is values, for as long as the program's code may take.
func (rd *reading) valuesInTime(ctx context.Context, files Files) ([]*value, error) {
	return call(ctx, &rd.strays, errand{what: "values", limit: codeTime},
		func(context.Context) ([]*value, error) { return rd.values(files) }, nil)
}

// values makes the values of files, for this node.
func (rd *reading) values(files Files) ([]*value, error) {
	docs, ps := rd.readOwn(files, rd.opener())
	return rd.valuesOf(docs, ps)
}

// readOwn reads the files of this program's configs. Those of other programs' configs do not matter.
func (rd *reading) readOwn(files Files, o secret.Opener) (documents, Problems) {
	docs, _, ps := readAll(rd.declared, files, o, func(string) bool { return false })
	return docs, ps
}

// readLenient is readOwn for those who only show what is in the files: what cannot be opened stays sealed.
func (rd *reading) readLenient(files Files) (documents, Problems) {
	return rd.readOwn(files, rd.opener().Lenient())
}

// valuesOf makes the values of documents, for this node. ps is what was wrong with them before.
func (rd *reading) valuesOf(docs documents, ps Problems) ([]*value, error) {
	out := make([]*value, len(rd.declared))
	for i, d := range rd.declared {
		v, wrong := d.value(layer.For(docs[d], rd.settings.Node, rd.settings.Role))
		out[i], ps = v, append(ps, wrong...)
	}
	return out, ps.Err()
}

// treesOf returns what a revision has for this node outside of sections, as far as this program can read it.
func (rd *reading) treesOf(s *state.State, revision uint64) map[*declaration]*tree.Node {
	docs, _ := rd.readLenient(filesOf(s, revision))
	out := map[*declaration]*tree.Node{}
	for _, d := range rd.declared {
		out[d] = d.effective(layer.For(docs[d], rd.settings.Node, rd.settings.Role), "")
	}
	return out
}

// DiffFiles is Diff of files.
func (m *Manager) DiffFiles(old, files Files) ([]Difference, error) {
	return m.reading.diffFiles(old, files)
}

// diffFiles is Manager.DiffFiles.
func (rd *reading) diffFiles(old, files Files) ([]Difference, error) {
	was, wrong := rd.readLenient(old)
	is, ps := rd.readLenient(files)
	if err := append(ps, wrong...).Err(); err != nil {
		return nil, err
	}
	var out []Difference
	for _, d := range rd.declared {
		out = append(out, d.diff(was[d], is[d], rd.roles())...)
	}
	return out, nil
}

// Check reports what is wrong with files as what follows in this farm, as Put does. The error is a Problems.
func (m *Manager) Check(files Files) error { return m.reading.check(m.state(), files) }

// check checks files that would follow a state. Those that stay as they are may be of configs that this
// program does not know: several programs can share a farm.
func (rd *reading) check(s *state.State, files Files) error {
	old := inForce(s)
	err := rd.askProgram(rd.ctx, errand{what: "check", limit: codeTime}, func(context.Context) error {
		return check(rd.declared, files, rd.opener(), rd.roles(), func(path string) bool {
			text, there := old[path]
			return !there || text != files[path]
		})
	})
	switch ps := (Problems)(nil); {
	case err == nil || errors.As(err, &ps):
		return err
	case rd.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(err, ErrOverloaded): // which is no fault of the files
		return fmt.Errorf("%w: the configuration cannot be checked at the moment: %w; try again", ErrOverloaded, err)
	}
	rd.sayPanic("checking the configuration", err)
	return Problems{{Text: "checking the configuration: " + err.Error()}}
}

func (rd *reading) roles() map[string]string {
	out := map[string]string{}
	if rd.settings.Roles != nil {
		for node, role := range rd.settings.Roles() {
			out[node] = cmp.Or(role, ordinary)
		}
	}
	out[rd.settings.Node] = rd.settings.Role
	return out
}

// opener returns what becomes of secrets in files on this node.
func (rd *reading) opener() secret.Opener {
	return secret.Opener{Plain: rd.settings.Path != "", Open: func(at secret.Place, token string) (Secret, error) {
		s, err := rd.keys.Open(at, token)
		if errors.Is(err, keyring.ErrNotYet) {
			rd.tryAgain.Store(true)
		}
		return s, err
	}}
}
