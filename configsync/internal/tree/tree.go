// Package tree is configuration as it stands in a file: values with the place where each was written.
package tree

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
)

// Limits of one file. They are checked before anything is built from it.
const (
	MaxBytes = 256 << 10
	MaxDepth = 64
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Number
	Text
	List
	Map
	Secret
)

// String returns the kind with an article, for messages.
func (k Kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "text", "a list", "a map", "a secret"}[k]
}

// Node is one value. It never changes once it is made.
type Node struct {
	Kind   Kind
	Text   string  // of Bool, Number and Text: as it was written, without quotes
	Items  []*Node // of List
	Fields []Field // of Map, in the order written
	Secret secret.Secret
	At     Pos
}

// Field is an entry of a map.
type Field struct {
	Name  string
	At    Pos // of the name
	Value *Node
}

// Pos is a place in a file; lines and columns count from 1, columns in characters. The zero Pos is a default
// of the program.
type Pos struct {
	File         string
	Line, Column int
}

// String returns file:line:column, as far as they are known.
func (p Pos) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			s += fmt.Sprintf(":%d", p.Column)
		}
	}
	return s
}

// Get returns the value of that name; nil if there is none.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	if i := slices.IndexFunc(n.Fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return n.Fields[i].Value
	}
	return nil
}

// Lookup returns the value at a path; nil if there is none.
func (n *Node) Lookup(p Path) *Node {
	for _, name := range p {
		n = n.Get(name)
	}
	return n
}

// Merge returns low with what high says: maps merge, everything else replaces, and null removes. Either may
// be nil.
func Merge(low, high *Node) *Node {
	switch {
	case high == nil:
		return low
	case high.Kind == Null:
		return nil
	case high.Kind != Map:
		return high
	case low == nil || low.Kind != Map:
		low = &Node{Kind: Map, At: high.At}
	}
	out := &Node{Kind: Map, At: high.At, Fields: slices.Clone(low.Fields)}
	for _, f := range high.Fields {
		i := slices.IndexFunc(out.Fields, func(o Field) bool { return o.Name == f.Name })
		var was *Node
		if i >= 0 {
			was = out.Fields[i].Value
		}
		f.Value = Merge(was, f.Value)
		switch {
		case i < 0 && f.Value != nil:
			out.Fields = append(out.Fields, f)
		case i >= 0 && f.Value == nil:
			out.Fields = slices.Delete(out.Fields, i, i+1)
		case i >= 0:
			out.Fields[i] = f
		}
	}
	return out
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 = unknown
	Field        string // such as limits.max or items[2].name; "" = the whole file
	Text         string // what is wrong, and what to do
}

// String returns "file:line:column: field: text".
func (p Problem) String() string {
	parts := []string{Pos{p.File, p.Line, p.Column}.String(), p.Field, p.Text}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// MaxProblems is how many problems are told; one more says how many others there are.
const MaxProblems = 50

// Problems is an error: everything that is wrong with a set of files.
type Problems []Problem

// Error returns one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Add adds a problem at a place.
func (ps *Problems) Add(at Pos, field, format string, args ...any) {
	*ps = append(*ps, Problem{at.File, at.Line, at.Column, field, fmt.Sprintf(format, args...)})
}

// Err returns the problems as an error, sorted, each once, and no more than MaxProblems; nil if there is
// none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	out = slices.Compact(out)
	if more := len(out) - MaxProblems; more > 0 {
		out = append(out[:MaxProblems], Problem{Text: fmt.Sprintf("and %d more", more)})
	}
	return out
}

// String returns a value as JSON, in one line.
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *Node) write(b *strings.Builder) {
	switch {
	case n == nil || n.Kind == Null:
		b.WriteString("null")
	case n.Kind == Text:
		b.WriteString(quoted(n.Text))
	case n.Kind == Secret:
		b.WriteString(quoted(n.Secret.String()))
	case n.Kind == List:
		b.WriteByte('[')
		for i, item := range n.Items {
			b.WriteString(separator(i))
			item.write(b)
		}
		b.WriteByte(']')
	case n.Kind == Map:
		b.WriteByte('{')
		for i, f := range n.Fields {
			b.WriteString(separator(i) + quoted(f.Name) + ": ")
			f.Value.write(b)
		}
		b.WriteByte('}')
	default:
		b.WriteString(n.Text)
	}
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // text always can be
	return strings.TrimSuffix(b.String(), "\n")
}

// Place returns where the value at a path was written, or else the nearest that it is a part of.
func (n *Node) Place(p Path) Pos {
	var at Pos
	for _, name := range p {
		next := n.Get(name)
		if i, ok := strings.CutPrefix(name, indexMark); ok && n != nil && n.Kind == List {
			if k, err := strconv.Atoi(i); err == nil && k < len(n.Items) {
				next = n.Items[k]
			}
		}
		if next == nil {
			return at
		}
		if n = next; n.At.File != "" {
			at = n.At
		}
	}
	return at
}

// Leaves calls f for everything that is no map, and for empty maps, with its path.
func (n *Node) Leaves(in Path, f func(Path, *Node)) {
	if n == nil {
		return
	}
	if n.Kind != Map || len(n.Fields) == 0 && len(in) > 0 {
		f(in, n)
		return
	}
	for _, field := range n.Fields {
		field.Value.Leaves(in.With(field.Name), f)
	}
}
