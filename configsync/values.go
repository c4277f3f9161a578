package configsync

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// use is which release a node uses, and under which epoch.
type use struct {
	epoch   uint64
	release Release
	canary  bool
	preview bool
	since   time.Time // of the switch to it, from the log
}

// useOf returns what a state has in force on a node.
func useOf(s *state.State, node string) use {
	u := use{epoch: s.Current().Number, since: s.Current().Time}
	if u.release, u.canary = s.For(node); u.canary {
		r, _ := s.Rollout(s.Canary().Rollout)
		u.since = r.Switched
	}
	return u
}

// snapshot is what a node uses: the values of all configs, and the content, of one release. It never changes.
type snapshot struct {
	// What readers need comes first, in as few lines of memory as can be.
	near  [nearby]near // the first of the values without sections, within this piece of memory
	quick []quick      // the values, for those who only read

	source *state.State
	staged *staged
	use                 // what staged is of: what source has in force, or something older while that is not ready here
	set    *content.Set // serves the content; nil = there is none

	problem  error         // why this is not what source has in force
	wants    digest        // what that would be, with a problem
	patience time.Time     // until when requests wait, with a problem
	replaced chan struct{} // closed when there is a newer one
}

// value is what one config has: outside of all sections, and in each.
type value struct {
	d        *declaration
	base     part
	sections []part // those with the longest paths first
}

type part struct {
	path  string
	tree  *tree.Node
	value any // *T
}

// quick is what a reader needs of a value, in one piece of memory.
type quick struct {
	d        *declaration
	base     any // *T
	sections []part
}

// near is what a reader needs of a value that has no sections.
type near struct {
	d     *declaration
	value any // *T; nil = there are sections
}

// nearby is how many configs of a program are read the quickest way.
const nearby = 16

// within returns the value for requests of a path. It is not inlined: its caller is quick because it is small.
//
//go:noinline
func (q *quick) within(path string) any {
	for i := range q.sections {
		if layer.Within(path, q.sections[i].path) {
			return q.sections[i].value
		}
	}
	return q.base
}

// newSnapshot returns a snapshot of what is ready.
func newSnapshot(source *state.State, st *staged, u use, problem error) *snapshot {
	s := &snapshot{source: source, staged: st, use: u, problem: problem, replaced: make(chan struct{})}
	for i, v := range st.values {
		s.quick = append(s.quick, quick{v.d, v.base.value, v.sections})
		if i < nearby && len(v.sections) == 0 {
			s.near[i] = near{v.d, v.base.value}
		}
	}
	return s
}

// get returns the value of a declaration.
func (s *staged) get(d *declaration) *value {
	if i := slices.IndexFunc(s.values, func(v *value) bool { return v.d == d }); i >= 0 {
		return s.values[i]
	}
	return nil
}

// same reports whether two values hold the same.
func (v *value) same(o *value) bool {
	return o != nil && schema.Equal(v.base.tree, o.base.tree) &&
		slices.EqualFunc(v.sections, o.sections, func(a, b part) bool {
			return a.path == b.path && schema.Equal(a.tree, b.tree)
		})
}

// value makes the value of a stack of files.
func (d *declaration) value(s layer.Stack) (*value, tree.Problems) {
	v := &value{d: d}
	ps := s.Locked()
	holds := func(path string) part {
		p, wrong := d.part(s, path)
		ps = append(ps, wrong...)
		return p
	}
	v.base = holds("")
	for _, path := range s.Sections() {
		v.sections = append(v.sections, holds(path))
	}
	slices.SortFunc(v.sections, func(a, b part) int { return cmp.Compare(len(b.path), len(a.path)) })
	return v, ps
}

// part makes what holds for one path.
func (d *declaration) part(s layer.Stack, path string) (part, tree.Problems) {
	n := layer.Effective(s.Parts(d.defaults, path))
	v := reflect.New(d.goType)
	ps := d.typ.Decode(n, v.Elem())
	if len(ps) == 0 {
		ps = d.typ.Validate(v.Elem(), func(in tree.Path) tree.Pos {
			at := n.Place(in)
			if at.File == "" && len(s) > 0 { // it is about the whole, or a default: the last file has made it so
				at.File = s[len(s)-1].File
			}
			return at
		})
	}
	for i := range ps {
		if path != "" {
			ps[i].Text += " (for requests to " + path + ")"
		}
	}
	return part{path, n, v.Interface()}, ps
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
