package configsync

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Difference is a field that has another value.
type Difference struct {
	Config   string
	For      string // which nodes: "" = all, "role front", "node n1"
	Section  string // path of URLs; "" = outside of sections
	Field    string
	Old, New string // as JSON; "" = it is not there
	Restart  bool   // the program has to be started again for it
	Secret   bool   // Old and New are fingerprints
}

// Diff returns the fields that differ between two epochs, of all kinds of nodes that files are about. 0 is
// the epoch in force as from or to; before the first epoch were the defaults, which are epoch 0 only where
// nothing is in force.
//
// Errors: ErrNoEpoch; Problems, if files of one of them do not fit this program.
func (m *Manager) Diff(from, to uint64) ([]Difference, error) {
	old, _, err := m.Files(from)
	if err != nil {
		return nil, err
	}
	files, _, err := m.Files(to)
	if err != nil {
		return nil, err
	}
	return m.DiffFiles(old, files)
}

// diff returns what differs for each kind of node, and not already for all.
func (d *declaration) diff(was, is []*layer.Document, roles map[string]string) (out []Difference) {
	for _, t := range targets(append(slices.Clone(was), is...), roles) {
		old, next := layer.For(was, t.node, t.role), layer.For(is, t.node, t.role)
		for _, section := range append([]string{""}, union(old.Sections(), next.Sections())...) {
			for _, one := range d.differences(d.effective(old, section), d.effective(next, section)) {
				one.Section, one.For = section, t.String()
				if !slices.ContainsFunc(out, one.follows) {
					out = append(out, one)
				}
			}
		}
	}
	return out
}

// follows reports whether d goes without saying because of o: the same for all nodes, or outside of sections.
func (d Difference) follows(o Difference) bool {
	if o.For == "" {
		d.For = ""
	}
	if o.Section == "" {
		d.Section = ""
	}
	return d == o
}

func union(a, b []string) []string {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *declaration) effective(s layer.Stack, section string) *tree.Node {
	return layer.Effective(s.Parts(d.defaults, section))
}

// differences returns the fields in which two trees differ, in the order of the newer one.
func (d *declaration) differences(old, next *tree.Node) (out []Difference) {
	values := func(n *tree.Node) (paths []tree.Path, leaf map[string]*tree.Node) {
		leaf = map[string]*tree.Node{}
		n.Leaves(nil, func(p tree.Path, v *tree.Node) { paths, leaf[p.String()] = append(paths, p), v })
		return paths, leaf
	}
	before, was := values(old)
	after, is := values(next)
	before = slices.DeleteFunc(before, func(p tree.Path) bool { return is[p.String()] != nil })
	for _, p := range append(after, before...) {
		a, b := was[p.String()], is[p.String()]
		if schema.Equal(a, b) {
			continue
		}
		info, _ := d.typ.Look(p) // it is there, since it was decoded
		out = append(out, Difference{Config: d.name, Field: p.String(), Old: text(a), New: text(b),
			Restart: info.Class == schema.Restart, Secret: info.Secret})
	}
	return out
}

// restart returns the fields that differ and need a restart, such as site.listen.
func (d *declaration) restart(old, next *tree.Node) (out []string) {
	for _, one := range d.differences(old, next) {
		if one.Restart {
			out = append(out, d.name+"."+one.Field)
		}
	}
	return out
}

// text returns a value as JSON; "" for none.
func text(n *tree.Node) string {
	if n == nil {
		return ""
	}
	return n.String()
}
