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
)

// A part of a node has what it needs as fields, and not the Node. Nothing hides what is in the base: a field
// that a part, or Node, had once more would stay empty, and a method would be called by that part alone,
// without any complaint.
func TestPartsStandOnTheBase(t *testing.T) {
	node, base := reflect.TypeFor[Node](), reflect.TypeFor[base]()
	parts := []reflect.Type{node}
	for _, f := range partFields() {
		parts = append(parts, f.Type.Elem())
	}
	if len(parts) < 15 {
		t.Fatalf("only %d parts were found", len(parts)-1)
	}
	methods := methodsOf(t)
	taken := slices.Concat(fieldsOf(base), methods[base.Name()])
	for _, part := range parts {
		for i := range part.NumField() {
			if f := part.Field(i); f.Type == reflect.PointerTo(node) {
				t.Errorf("%s.%s is the Node", part.Name(), f.Name)
			}
		}
		for _, name := range slices.Concat(fieldsOf(part), methods[part.Name()]) {
			if slices.Contains(taken, name) {
				t.Errorf("%s.%s hides what the base has by that name", part.Name(), name)
			}
		}
	}
}

// Node opens its parts, passes to them what others ask, and closes them. What is done beyond that belongs to
// a part, and nobody but a program's handle has the Node.
func TestNodeOnlyPutsTogether(t *testing.T) {
	opens := []string{"assemble", "open", "start", "gossip", "answer", "shutDown", "release"}
	for _, name := range methodsOf(t)["Node"] {
		if !ast.IsExported(name) && !slices.Contains(opens, name) {
			t.Errorf("Node.%s should be a method of a part", name)
		}
	}
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name == "Handle" {
				return !ok
			}
			ast.Inspect(spec.Type, func(n ast.Node) bool {
				if p, ok := n.(*ast.StarExpr); ok {
					if to, ok := p.X.(*ast.Ident); ok && to.Name == "Node" {
						t.Errorf("%s has the Node", spec.Name.Name)
					}
				}
				return true
			})
			return false
		})
	}
}

// No part is put together before another one that it has. What only open can fill in is excepted.
func TestPartsAreWhole(t *testing.T) {
	n := &Node{base: newBase(Config{}, hooks{})}
	n.assemble()
	later := []string{"connections.rpc", "connections.raft", "identifying.certificate", "joining.seeds",
		"operators.calls", "operators.identity"}
	for _, f := range partFields() {
		part := reflect.ValueOf(n).Elem().FieldByIndex(f.Index).Elem()
		for i := range part.NumField() {
			name := f.Name + "." + part.Type().Field(i).Name
			switch v := part.Field(i); v.Kind() {
			case reflect.Pointer, reflect.Func, reflect.Interface, reflect.Chan:
				if v.IsNil() != slices.Contains(later, name) {
					t.Errorf("%s is nil: %v", name, v.IsNil())
				}
			}
		}
	}
}

// partFields returns the fields of Node that are parts.
func partFields() (out []reflect.StructField) {
	node, base := reflect.TypeFor[Node](), reflect.TypeFor[*base]()
	for i := range node.NumField() {
		f := node.Field(i)
		if f.Type.Kind() != reflect.Pointer || f.Type.Elem().Kind() != reflect.Struct || f.Type == base {
			continue
		}
		if b, ok := f.Type.Elem().FieldByName("base"); ok && b.Type == base {
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
