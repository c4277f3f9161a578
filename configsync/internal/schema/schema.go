// Package schema is what a Go type says about configuration: which fields there are, of which types, and how
// a value is made of a tree and back.
package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Class says what it takes for a changed field to have its effect.
type Class uint8

// The classes, in the order of what they cost.
const (
	Hot     Class = iota // it has it at once
	Restart              // the program has to be started again
)

// String returns the word that stands in the tag.
func (c Class) String() string { return [...]string{"hot", "restart"}[c] }

// Type is a Go type as configuration sees it.
type Type struct {
	goType reflect.Type
	kind   kind
	elem   *Type   // of lists, maps and pointers
	fields []field // of structs
}

type kind uint8

const (
	boolean kind = iota
	integer
	unsigned
	float
	text
	duration
	marshals // by encoding.TextUnmarshaler
	hidden   // a secret.Secret
	list
	dict
	pointer
	structure
)

type field struct {
	name  string
	index []int
	typ   *Type
	class Class
}

var (
	unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	jsonOnly    = reflect.TypeFor[json.Unmarshaler]()
)

// Of returns the schema of a struct. Names that are reserved cannot be those of its fields.
func Of(t reflect.Type, reserved ...string) (*Type, error) {
	if t.Kind() != reflect.Struct || isText(t) {
		return nil, fmt.Errorf("%v is no struct with fields", t)
	}
	s, err := builder{}.of(t, t.String())
	if err != nil {
		return nil, err
	}
	for _, f := range s.fields {
		if slices.Contains(reserved, f.name) {
			return nil, fmt.Errorf("%v has a field %q, which stands for something else in files: give it another "+
				"name by its json tag", t, f.name)
		}
	}
	if path := s.listed("", map[*Type]bool{}); path != "" {
		return nil, fmt.Errorf("%v has secrets in the list %s, where they have no name: make it a map", t, path)
	}
	return s, nil
}

// builder holds the types that have been seen, so that one may hold its own kind.
type builder map[reflect.Type]*Type

// of returns the schema of t, which a person reaches by path.
func (b builder) of(t reflect.Type, path string) (*Type, error) {
	if s := b[t]; s != nil {
		return s, nil
	}
	s := &Type{goType: t}
	b[t] = s
	var err error
	switch {
	case t == reflect.TypeFor[time.Duration]():
		s.kind = duration
	case t == reflect.TypeFor[secret.Secret]():
		s.kind = hidden
	case isText(t):
		s.kind = marshals
	case reflect.PointerTo(t).Implements(jsonOnly):
		return nil, fmt.Errorf("%s is a %v, which reads JSON by itself, so that nobody knows its fields: "+
			"give it UnmarshalText and MarshalText", path, t)
	default:
		err = b.plain(s, t, path)
	}
	return s, err
}

// isText reports whether values of t are written as text, and read from it, by methods of their own.
func isText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Kind() != reflect.Pointer && p.Implements(unmarshaler) && p.Implements(marshaler)
}

func (b builder) plain(s *Type, t reflect.Type, path string) (err error) {
	switch t.Kind() {
	case reflect.Bool:
		s.kind = boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.kind = integer
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.kind = unsigned
	case reflect.Float32, reflect.Float64:
		s.kind = float
	case reflect.String:
		s.kind = text
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !isText(t.Elem()) {
			return fmt.Errorf("%s is a slice of bytes: take a string", path)
		}
		s.kind = list
		s.elem, err = b.of(t.Elem(), path+"[]")
	case reflect.Map:
		if t.Key().Kind() != reflect.String || isText(t.Key()) {
			return fmt.Errorf("%s is a map whose keys are no strings", path)
		}
		s.kind = dict
		s.elem, err = b.of(t.Elem(), path+"[]")
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Pointer || t.Elem().Kind() == reflect.Map ||
			t.Elem().Kind() == reflect.Slice {
			return fmt.Errorf("%s is a pointer to %v, which can be nil by itself", path, t.Elem())
		}
		s.kind = pointer
		s.elem, err = b.of(t.Elem(), path)
	case reflect.Struct:
		s.kind = structure
		return b.structure(s, t, path, nil)
	default:
		return fmt.Errorf("%s is a %v, which no file can hold", path, t)
	}
	return err
}

// structure adds the fields of t, and those of the structs embedded in it.
func (b builder) structure(s *Type, t reflect.Type, path string, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		at, to := append(slices.Clip(index), i), path+"."+f.Name
		switch {
		case name == "-" && rest == "":
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && !isText(f.Type):
			if err := b.structure(s, f.Type, to, at); err != nil {
				return err
			}
			continue
		case !f.IsExported():
			return fmt.Errorf("%s is not exported, so that no file can set it: export it, or give it the tag "+
				"`json:\"-\"`", to)
		case slices.Contains(strings.Split(rest, ","), "string"):
			return fmt.Errorf("%s has the json option string, which is not taken", to)
		}
		fd := field{name: name, index: at}
		if name == "" {
			fd.name = lowerFirst(f.Name)
		}
		if err := fd.tags(f, to); err != nil {
			return err
		}
		if slices.ContainsFunc(s.fields, func(o field) bool { return o.name == fd.name }) {
			return fmt.Errorf("%s has the name %q in files, and so has another field", to, fd.name)
		}
		var err error
		if fd.typ, err = b.of(f.Type, to); err != nil {
			return err
		}
		s.fields = append(s.fields, fd)
	}
	return nil
}

// tags reads the tags reload and secret.
func (fd *field) tags(f reflect.StructField, path string) error {
	switch class := f.Tag.Get("reload"); class {
	case "", "hot":
	case "restart":
		fd.class = Restart
	default:
		return fmt.Errorf("%s has the tag reload:%q; it is hot or restart", path, class)
	}
	if _, ok := f.Tag.Lookup("secret"); ok {
		return fmt.Errorf("%s has the tag secret, which hides nothing: make it a configsync.Secret", path)
	}
	return nil
}

// lowerFirst returns a Go name as files have it: MaxItems is maxItems, URL is url, HTTPPort is httpPort.
func lowerFirst(s string) string {
	r := []rune(s)
	for i := range r {
		last := i > 0 && i+1 < len(r) && unicode.IsLower(r[i+1])
		if !unicode.IsUpper(r[i]) || last {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}

func (t *Type) field(name string) *field {
	if i := slices.IndexFunc(t.fields, func(f field) bool { return f.name == name }); i >= 0 {
		return &t.fields[i]
	}
	return nil
}

// Names returns the names of the fields of a struct.
func (t *Type) Names() []string {
	out := make([]string, len(t.fields))
	for i, f := range t.fields {
		out[i] = f.name
	}
	return out
}

// Info is what a type says about the value at a path.
type Info struct {
	Class  Class
	Secret bool // it is one
}

// Look returns what there is to say of the value at a path: of it, or of anything that it is a part of. The
// error names the nearest field where there is none.
func (t *Type) Look(p tree.Path) (info Info, err error) {
	for i, name := range p {
		for t.kind == pointer {
			t = t.elem
		}
		switch t.kind {
		case dict:
			t = t.elem
		case structure:
			f := t.field(name)
			if f == nil {
				return info, fmt.Errorf("%s: %s", p[:i+1], unknown(name, t.Names()))
			}
			info.Class = max(info.Class, f.class)
			t = f.typ
		default:
			return info, fmt.Errorf("%s: is one value and has no field %q", p[:i], name)
		}
	}
	for t.kind == pointer {
		t = t.elem
	}
	info.Secret = t.kind == hidden
	return info, nil
}

// Unset calls f for each field within in that has no value in n, the tree of in, which may be nil. Of what is no
// struct the whole is a field: nobody knows the names in a map that is not there.
func (t *Type) Unset(n *tree.Node, in tree.Path, f func(tree.Path)) {
	switch {
	case t.kind == structure:
		for _, field := range t.fields {
			var at *tree.Node
			if n != nil && n.Kind == tree.Map {
				at = n.Get(field.name)
			}
			field.typ.Unset(at, in.With(field.name), f)
		}
	case n == nil:
		f(in)
	}
}

// secrets reports whether the type is a secret, or has one within.
func (t *Type) secrets(seen map[*Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	return t.kind == hidden || t.elem.secrets(seen) || slices.ContainsFunc(t.fields, func(f field) bool {
		return f.typ.secrets(seen)
	})
}

// listed returns the path of a list with secrets in it; "" if there is none. A place in a list is no name by
// which one could be set, or for which it could be sealed.
func (t *Type) listed(path string, seen map[*Type]bool) string {
	if t == nil || seen[t] {
		return ""
	}
	seen[t] = true
	if t.kind == list && t.secrets(map[*Type]bool{}) {
		return path
	}
	for _, f := range t.fields {
		if found := f.typ.listed(strings.Trim(path+"."+f.name, "."), seen); found != "" {
			return found
		}
	}
	return t.elem.listed(path, seen)
}

func unknown(name string, names []string) string {
	if near := tree.Nearest(name, names); near != "" {
		return fmt.Sprintf("unknown field; did you mean %s?", near)
	}
	return fmt.Sprintf("unknown field; there are: %s", strings.Join(names, ", "))
}
