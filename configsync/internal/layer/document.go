package layer

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Names at the top of a file that stand for no field.
const (
	wordPaths  = "paths"
	wordLocked = "locked"
)

// Words are the names that no field at the top can have.
var Words = []string{wordPaths, wordLocked}

// MaxSections is how many paths of URLs one file may have.
const MaxSections = 64

// maxSection is how long one of them may be, in bytes.
const maxSection = 256

// Document is one file, taken apart.
type Document struct {
	Place
	File     string
	base     *tree.Node
	sections []section
	locks    []lock
}

type section struct {
	path string
	node *tree.Node
}

type lock struct {
	path tree.Path
	at   tree.Pos
}

// Read reads a file of a type, with its secrets. The document is nil if there are problems.
func Read(typ *schema.Type, place Place, file string, b []byte, o secret.Opener) (*Document, tree.Problems) {
	n, err := tree.Parse(file, b)
	if err != nil {
		return nil, err.(tree.Problems)
	}
	r := reader{typ: typ, opener: o, d: &Document{Place: place, File: file}}
	r.read(n)
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.d, nil
}

// Said calls f with all that a document says by itself, whatever other layers do: fields, by the section in which they
// stand, and those that it locks.
func (d *Document) Said(f func(section string, in tree.Path, v *tree.Node), locks func(in tree.Path)) {
	d.base.Leaves(nil, func(in tree.Path, v *tree.Node) { f("", in, v) })
	for _, s := range d.sections {
		s.node.Leaves(nil, func(in tree.Path, v *tree.Node) { f(s.path, in, v) })
	}
	for _, l := range d.locks {
		locks(l.path)
	}
}

type reader struct {
	typ      *schema.Type
	opener   secret.Opener
	d        *Document
	problems tree.Problems
}

func (r *reader) read(n *tree.Node) {
	if n.Kind != tree.Map {
		r.problems.Add(n.At, "", "is %s; it has to be a map of fields", n.Kind)
		return
	}
	base := &tree.Node{Kind: tree.Map, At: n.At}
	for _, f := range n.Fields {
		switch f.Name {
		case wordPaths:
			r.paths(f)
		case wordLocked:
			r.locked(f)
		default:
			base.Fields = append(base.Fields, f)
		}
	}
	r.d.base = r.fields(base, nil)
}

// fields returns the fields of a layer, with their secrets, if they are right.
func (r *reader) fields(n *tree.Node, in tree.Path) *tree.Node {
	n, ps := r.typ.Unseal(n, r.d.Config, r.opener)
	for _, p := range append(ps, r.typ.Check(n)...) {
		p.Field = strings.Trim(in.String()+"."+p.Field, ".")
		r.problems = append(r.problems, p)
	}
	return n
}

func (r *reader) paths(f tree.Field) {
	if f.Value.Kind != tree.Map {
		r.problems.Add(f.Value.At, wordPaths, "is %s; it takes a map from paths of URLs, such as /shop/, to fields",
			f.Value.Kind)
		return
	}
	for _, s := range f.Value.Fields {
		in := tree.Path{wordPaths, s.Name}
		if why := badSection(s.Name); why != "" {
			r.problems.Add(s.At, in.String(), "%s", why)
			continue
		}
		if s.Value.Kind != tree.Map {
			r.problems.Add(s.Value.At, in.String(), "is %s; it takes a map of fields", s.Value.Kind)
			continue
		}
		if word := firstWord(s.Value); word != nil {
			r.problems.Add(word.At, in.With(word.Name).String(), "can be at the top of a file only")
			continue
		}
		fields := r.fields(s.Value, in)
		if len(r.d.sections) == MaxSections {
			r.problems.Add(s.At, wordPaths, "has more than %d paths", MaxSections)
			return
		}
		r.d.sections = append(r.d.sections, section{s.Name, fields})
	}
}

func firstWord(n *tree.Node) *tree.Field {
	for i, f := range n.Fields {
		if slices.Contains(Words, f.Name) {
			return &n.Fields[i]
		}
	}
	return nil
}

// badSection says why a section cannot have a path.
func badSection(p string) string {
	clean := strings.TrimSuffix(p, "/")
	switch {
	case p == "/":
		return "is the whole site: write its fields at the top of the file"
	case !strings.HasPrefix(p, "/") || !strings.HasSuffix(p, "/"):
		return "a path begins and ends with a slash, such as /shop/"
	case path.Clean(clean) != clean || strings.Contains(p, "//"):
		return "a path has no empty parts, and none that are . or .."
	case strings.ContainsAny(p, "*?{}%#\\"):
		return "a path is plain: no patterns, no query, and nothing escaped by %"
	case len(p) > maxSection:
		return fmt.Sprintf("is longer than %d bytes", maxSection)
	}
	return ""
}

func (r *reader) locked(f tree.Field) {
	if f.Value.Kind != tree.List {
		r.problems.Add(f.Value.At, wordLocked, "is %s; it takes a list of fields, such as [prices, limits.max]",
			f.Value.Kind)
		return
	}
	for _, item := range f.Value.Items {
		p, err := tree.ParsePath(item.Text)
		if err == nil && item.Kind == tree.Text {
			_, err = r.typ.Look(p)
		}
		switch {
		case item.Kind != tree.Text:
			r.problems.Add(item.At, wordLocked, "is %s; it takes the names of fields", item.Kind)
		case err != nil:
			r.problems.Add(item.At, wordLocked, "%v", err)
		default:
			r.d.locks = append(r.d.locks, lock{p, item.At})
		}
	}
}

// broken returns where n sets what is locked: the value itself, a part of it, or something that takes its
// place.
func (l lock) broken(n *tree.Node) (at tree.Pos, ok bool) {
	for _, name := range l.path {
		if n == nil {
			return at, false
		}
		if n.Kind != tree.Map {
			return n.At, true
		}
		n = n.Get(name)
	}
	if n == nil {
		return at, false
	}
	return n.At, true
}

// Stack is the documents of one config that hold for a node, lowest first.
type Stack []*Document

// For returns the documents of all that hold for a node of that name and role.
func For(all []*Document, node, role string) Stack {
	out := Stack{}
	for _, d := range all {
		if d.Rank == Global || d.Rank == Role && d.Name == role || d.Rank == Node && d.Name == node {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *Document) int { return cmp.Compare(a.Rank, b.Rank) })
	return out
}

// Locked returns what is set although a lower layer has locked it.
func (s Stack) Locked() (ps tree.Problems) {
	for i, d := range s {
		for _, below := range s[:i] {
			for _, l := range below.locks {
				said := func(n *tree.Node) {
					if at, ok := l.broken(n); ok {
						ps.Add(at, l.path.String(), "is locked by %v: only that file may set it", l.at)
					}
				}
				said(d.base)
				for _, sec := range d.sections {
					said(sec.node)
				}
			}
		}
	}
	return ps
}

// Sections returns the paths of all sections, shortest first.
func (s Stack) Sections() []string {
	var out []string
	for _, d := range s {
		for _, sec := range d.sections {
			out = append(out, sec.path)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return slices.Compact(out)
}

// Part is what one layer says, alone.
type Part struct {
	Layer   string // "default", "global", "role front", "node n1"
	Section string // "" = it is not of a section
	Node    *tree.Node
}

// Parts returns everything that holds for requests of a path, lowest first; "" = what holds outside of all
// sections.
func (s Stack) Parts(defaults *tree.Node, p string) []Part {
	out := []Part{{Layer: "default", Node: defaults}}
	for _, d := range s {
		out = append(out, Part{d.Place.String(), "", d.base})
	}
	for _, sec := range s.Sections() {
		if !Within(p, sec) {
			continue
		}
		for _, d := range s {
			for _, own := range d.sections {
				if own.path == sec {
					out = append(out, Part{d.Place.String(), sec, own.node})
				}
			}
		}
	}
	return out
}

// Effective returns what comes out of the parts.
func Effective(parts []Part) *tree.Node {
	var n *tree.Node
	for _, p := range parts {
		n = tree.Merge(n, p.Node)
	}
	return n
}

// Within reports whether a request's path is of a section: below it, or the folder itself.
func Within(p, section string) bool {
	return strings.HasPrefix(p, section) || p == section[:len(section)-1]
}
