package cluster

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
)

// whole is a type that is put together of parts, which have a base in common.
type whole struct {
	of, base reflect.Type
	does     []string // its methods that are not exported
	parts    int      // at least so many
}

var wholes = []whole{
	{reflect.TypeFor[Node](), reflect.TypeFor[base](),
		[]string{"assemble", "open", "start", "gossip", "answer", "shutDown", "release"}, 15},
	{reflect.TypeFor[instance](), reflect.TypeFor[core](),
		[]string{"assemble", "newLeadership", "start", "observe", "halt", "stop", "standDown", "shutDown"}, 15},
	{reflect.TypeFor[leadership](), reflect.TypeFor[tenure](), []string{"run", "open", "openEntry"}, 9},
}

// A part has what it needs as fields, and not the whole. Nothing hides what is in the base: a field that a
// part, or the whole, had once more would stay empty, and a method would be called by that part alone,
// without any complaint.
func TestPartsStandOnTheBase(t *testing.T) {
	methods := methodsOf(t)
	for _, w := range wholes {
		parts := []reflect.Type{w.of}
		for _, f := range w.partFields() {
			parts = append(parts, f.Type.Elem())
		}
		if len(parts) < w.parts {
			t.Fatalf("only %d parts of %s were found", len(parts)-1, w.of.Name())
		}
		taken := slices.Concat(fieldsOf(w.base), methods[w.base.Name()])
		for _, part := range parts {
			for i := range part.NumField() {
				if f := part.Field(i); f.Type == reflect.PointerTo(w.of) {
					t.Errorf("%s.%s is the %s", part.Name(), f.Name, w.of.Name())
				}
			}
			for _, name := range slices.Concat(fieldsOf(part), methods[part.Name()]) {
				if slices.Contains(taken, name) {
					t.Errorf("%s.%s hides what the %s has by that name", part.Name(), name, w.base.Name())
				}
			}
		}
	}
}

// A Node opens its parts, passes to them what others ask, and closes them. A Raft instance and a leadership
// start their parts and end them. What is done beyond that belongs to a part.
func TestNodeOnlyPutsTogether(t *testing.T) {
	methods := methodsOf(t)
	for _, w := range wholes {
		for _, name := range methods[w.of.Name()] {
			if !ast.IsExported(name) && !slices.Contains(w.does, name) {
				t.Errorf("%s.%s should be a method of a part", w.of.Name(), name)
			}
		}
	}
}

// Nobody but a program's handle has the Node. The Raft instance is in the base of a Node, and two note which
// one they have looked at, a tenure has the
// one that it belongs to, and leading the present leadership.
func TestNobodyHasTheWhole(t *testing.T) {
	may := map[string][]string{
		"Node":       {"Handle"},
		"instance":   {"base", "resets", "seat", "tenure"},
		"leadership": {"leading"},
	}
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			ast.Inspect(spec.Type, func(n ast.Node) bool {
				to := pointedTo(n)
				if who, ok := may[to]; ok && !slices.Contains(who, spec.Name.Name) {
					t.Errorf("%s has the %s", spec.Name.Name, to)
				}
				return true
			})
			return false
		})
	}
}

// pointedTo returns the name of the type that a pointer in the source leads to; "" if n is none.
func pointedTo(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StarExpr:
		if to, ok := n.X.(*ast.Ident); ok {
			return to.Name
		}
	case *ast.IndexExpr: // atomic.Pointer[T]
		if to, ok := n.Index.(*ast.Ident); ok {
			return to.Name
		}
	}
	return ""
}

// No part is put together before another one that it has. What only open, or start, can fill in is excepted.
func TestPartsAreWhole(t *testing.T) {
	n := &Node{base: newBase(Config{}, hooks{})}
	n.assemble()
	wholes[0].lacksOnly(t, n, "connections.rpc", "connections.raft", "identifying.certificate",
		"joining.seeds", "operators.calls", "operators.identity")
	n.ctx = t.Context()
	in := newInstance(n.instances, "n1.1", 1)
	wholes[1].lacksOnly(t, in, "storage.store", "storage.kept", "storage.files", "storage.snaps",
		"storage.memory", "stalls.timer")
	in.fsm = replica.New(replica.Config{Machines: func() map[string]replica.Machine { return nil }})
	wholes[2].lacksOnly(t, in.newLeadership(1))
}

// lacksOnly fails if the parts of a whole lack something else than what is named, or do not lack that.
func (w *whole) lacksOnly(t *testing.T, of any, later ...string) {
	for _, f := range w.partFields() {
		part := reflect.ValueOf(of).Elem().FieldByIndex(f.Index)
		if part.IsNil() {
			continue // start makes it
		}
		for i := range part.Elem().NumField() {
			name := f.Name + "." + part.Elem().Type().Field(i).Name
			switch v := part.Elem().Field(i); v.Kind() {
			case reflect.Pointer, reflect.Func, reflect.Interface, reflect.Chan:
				if v.IsNil() != slices.Contains(later, name) {
					t.Errorf("%s is nil: %v", name, v.IsNil())
				}
			}
		}
	}
}

// partFields returns the fields that are parts.
func (w *whole) partFields() (out []reflect.StructField) {
	base := reflect.PointerTo(w.base)
	for i := range w.of.NumField() {
		f := w.of.Field(i)
		if f.Type.Kind() != reflect.Pointer || f.Type.Elem().Kind() != reflect.Struct || f.Type == base {
			continue
		}
		if b, ok := f.Type.Elem().FieldByName(w.base.Name()); ok && b.Type == base {
			out = append(out, f)
		}
	}
	return out
}

func fieldsOf(of reflect.Type) (names []string) {
	for i := range of.NumField() {
		names = append(names, of.Field(i).Name)
	}
	return names
}

// methodsOf returns the names of the methods of this package's types, by type. reflect shows none that is not
// exported.
func methodsOf(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for _, f := range sources(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			of := fn.Recv.List[0].Type
			if p, ok := of.(*ast.StarExpr); ok {
				of = p.X
			}
			if id, ok := of.(*ast.Ident); ok {
				out[id.Name] = append(out[id.Name], fn.Name.Name)
			}
		}
	}
	return out
}

// sources returns the files of this package that are no tests.
func sources(t *testing.T) (out []*ast.File) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}
