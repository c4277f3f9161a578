package configsync

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

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
