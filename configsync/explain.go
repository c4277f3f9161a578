package configsync

import (
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Question says what is to be explained.
type Question struct {
	Config string
	Field  string // such as limits.max; "" = all fields
	Node   string // "" = this node
	Role   string // of Node; "" = as far as it is known
	Path   string // of a request; "" = outside of sections
}

// Explained is one field, and where its value comes from.
type Explained struct {
	Field   string
	Value   string // as JSON; "" = it has none
	Restart bool
	Secret  bool     // values are fingerprints
	Sources []Source // all that have a say, lowest first; the last counts
}

// Source is one layer's say.
type Source struct {
	Layer   string // "default", "global", "role front", "node n1"
	Section string // path of URLs; "" = none
	Value   string // as JSON
	File    string
	Line    int
}

// Explain says where the values of a config come from that is in force. Of all fields, those that nobody sets are
// the last.
//
// Errors: no such config or field, with the nearest name that there is; Problems, if the files in force do not fit this
// program.
func (m *Manager) Explain(q Question) ([]Explained, error) {
	d := find(m.declared, q.Config)
	if d == nil {
		return nil, fmt.Errorf("configsync: %s", noConfig(q.Config, m.declared))
	}
	files, _, _ := m.Files(0)
	docs, ps := m.reading.readLenient(files)
	if err := ps.Err(); err != nil {
		return nil, err
	}
	if q.Node == "" {
		q.Node, q.Role = m.settings.Node, m.settings.Role
	}
	if q.Role == "" {
		q.Role = ordinary
		if known, ok := m.reading.roles()[q.Node]; ok {
			q.Role = known
		}
	}
	if q.Path != "" {
		q.Path = clean(q.Path)
	}
	return d.explain(layer.For(docs[d], q.Node, q.Role).Parts(d.defaults, q.Path), q.Field)
}

func (d *declaration) explain(parts []layer.Part, field string) (out []Explained, err error) {
	var in tree.Path
	if field != "" {
		if in, err = tree.ParsePath(field); err == nil {
			_, err = d.typ.Look(in)
		}
		if err != nil {
			return nil, fmt.Errorf("configsync: %s: %w", d.name, err)
		}
	}
	whole := layer.Effective(parts)
	at := whole.Lookup(in)
	if at == nil { // it has no value: who has taken it away?
		return []Explained{d.explained(parts, in, nil)}, nil
	}
	at.Leaves(in, func(p tree.Path, v *tree.Node) { out = append(out, d.explained(parts, p, v)) })
	if len(in) == 0 { // whoever looks at all of it looks for what could be set, too
		d.typ.Unset(at, in, func(p tree.Path) { out = append(out, d.explained(parts, p, nil)) })
	}
	return out, nil
}

func (d *declaration) explained(parts []layer.Part, p tree.Path, v *tree.Node) Explained {
	info, _ := d.typ.Look(p)
	e := Explained{Field: p.String(), Value: text(v), Restart: info.Class == schema.Restart, Secret: info.Secret}
	for _, part := range parts {
		n := part.Node
		for _, name := range p { // as far as the layer goes: a list or null in place of a map takes all of it away
			if n == nil || n.Kind != tree.Map {
				break
			}
			n = n.Get(name)
		}
		if n != nil {
			e.Sources = append(e.Sources, Source{part.Layer, part.Section, text(n), n.At.File, n.At.Line})
		}
	}
	return e
}
