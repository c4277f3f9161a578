// Package parts checks, in tests, types that are put together of parts: a whole, whose fields are the parts, and a
// base, which the whole and all parts embed. Nobody else would say when a part takes the whole, or hides what is in the
// base, or is put together before another one that it has.
package parts

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

// Whole is a type of the package that is tested. The tests run in its folder.
type Whole struct {
	Type, Base reflect.Type

	// Does names the methods that are not exported: those that put the parts together, start them and end them.
	Does []string

	// Holders names the types that may have a pointer to the whole.
	Holders []string
}

// Check reports fields of parts that are the whole, names that hide what is in the base, methods of the whole
// that belong to a part, and other types that have the whole. least is how many parts there are, at least.
func (w Whole) Check(t *testing.T, least int) {
	files := sources(t)
	parts := []reflect.Type{w.Type}
	for _, f := range w.fields() {
		parts = append(parts, f.Type.Elem())
	}
	if len(parts)-1 < least {
		t.Fatalf("only %d parts of %s were found", len(parts)-1, w.Type.Name())
	}
	methods := methodsOf(files)
	for _, name := range methods[w.Type.Name()] {
		if !ast.IsExported(name) && !slices.Contains(w.Does, name) {
			t.Errorf("%s.%s should be a method of a part", w.Type.Name(), name)
		}
	}
	taken := append(fieldsOf(w.Base), methods[w.Base.Name()]...)
	for _, part := range parts {
		for _, name := range append(fieldsOf(part), methods[part.Name()]...) {
			if slices.Contains(taken, name) {
				t.Errorf("%s.%s hides what %s has by that name", part.Name(), name, w.Base.Name())
			}
		}
	}
	for _, name := range holders(files, w.Type.Name()) {
		if !slices.Contains(w.Holders, name) {
			t.Errorf("%s has the %s", name, w.Type.Name())
		}
	}
}

// Lacks reports what is missing in a whole, a pointer to a Type, and its parts, other than what later names: a part, or
// what a part has, such as "joining.seeds". It also reports what later names and is there.
func (w Whole) Lacks(t *testing.T, whole any, later ...string) {
	for _, f := range w.fields() {
		part := reflect.ValueOf(whole).Elem().FieldByIndex(f.Index)
		if part.IsNil() != slices.Contains(later, f.Name) {
			t.Errorf("%s is nil: %v", f.Name, part.IsNil())
		}
		if part.IsNil() {
			continue
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

// fields returns the fields of the whole that are parts.
func (w Whole) fields() (out []reflect.StructField) {
	base := reflect.PointerTo(w.Base)
	for i := range w.Type.NumField() {
		f := w.Type.Field(i)
		if f.Type.Kind() != reflect.Pointer || f.Type.Elem().Kind() != reflect.Struct || f.Type == base {
			continue
		}
		if b, ok := f.Type.Elem().FieldByName(w.Base.Name()); ok && b.Type == base {
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

// methodsOf returns the names of methods, by the type. reflect shows none that is not exported.
func methodsOf(files []*ast.File) map[string][]string {
	out := map[string][]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				of := strings.TrimPrefix(nameOf(fn.Recv.List[0].Type), "*")
				out[of] = append(out[of], fn.Name.Name)
			}
		}
	}
	return out
}

// holders returns the names of the types that have a pointer to a type.
func holders(files []*ast.File, to string) (names []string) {
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			ast.Inspect(spec.Type, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if ok && nameOf(e) == "*"+to && !slices.Contains(names, spec.Name.Name) {
					names = append(names, spec.Name.Name)
				}
				return true
			})
			return false
		})
	}
	return names
}

// nameOf returns the name of a type in the source, "*" before that of a pointer, atomic.Pointer too; "" for others.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + nameOf(e.X)
	case *ast.IndexExpr:
		if of, ok := e.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Pointer" {
			return "*" + nameOf(e.Index)
		}
	}
	return ""
}

// sources returns the files of the package that are no tests.
func sources(t *testing.T) (out []*ast.File) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
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
