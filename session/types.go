package session

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// checkType says why values of type t would not come back from the store as they went in, or nil. It runs once per key,
// at NewKey, because the msgpack library drops or changes such values without an error.
func checkType(t reflect.Type) error {
	return typeWalk{}.visit(t, t.String(), true)
}

// typeWalk remembers the types it has visited, so that types which hold their own kind do not keep it for ever.
type typeWalk map[visited]bool

type visited struct {
	t           reflect.Type
	addressable bool
}

// visit checks t. path is how a person would reach it. addressable says whether the library can take the value's
// address there, and so find methods of the pointer: not inside a map.
func (w typeWalk) visit(t reflect.Type, path string, addressable bool) error {
	if t == reflect.TypeFor[time.Time]() || w[visited{t, addressable}] {
		return nil
	}
	w[visited{t, addressable}] = true
	if t == reflect.TypeFor[big.Float]() {
		return fmt.Errorf("%s is a big.Float, which is stored with 64 bits of its precision: store its Text", path)
	}
	if ok, err := hasOwnFormat(t, path, addressable); ok || err != nil {
		return err
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Slice:
		return w.visit(t.Elem(), path+"[]", true)
	case reflect.Array:
		return w.visit(t.Elem(), path+"[]", addressable)
	case reflect.Pointer:
		return w.pointer(t, path)
	case reflect.Map:
		if err := checkMapKey(t, path); err != nil {
			return err
		}
		return w.visit(t.Elem(), path+"[]", false)
	case reflect.Struct:
		return w.fields(t, path, addressable)
	case reflect.Interface:
		return fmt.Errorf("%s is an interface: the concrete type would be lost, so use one", path)
	}
	return fmt.Errorf("%s is a %s, which cannot be stored", path, t.Kind())
}

// pointer refuses what cannot be told from a nil pointer once it is stored, and what may never end.
func (w typeWalk) pointer(t reflect.Type, path string) error {
	switch t.Elem().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fmt.Errorf("%s is a pointer to what may be nil itself, and would come back as a nil pointer: use %s", path, t.Elem())
	}
	if circular(t, t.Elem(), map[reflect.Type]bool{}) {
		return fmt.Errorf("%s leads back to itself by pointers, and encoding a cycle would never end: use a slice", path)
	}
	return w.visit(t.Elem(), "(*"+path+")", true)
}

func (w typeWalk) fields(t reflect.Type, path string, addressable bool) error {
	fields, err := fieldsOf(t, path)
	if err != nil {
		return err
	}
	for _, f := range fields.list {
		if err := w.visit(f.t, f.path, addressable); err != nil {
			return err
		}
	}
	return nil
}

// circular reports whether t can be reached from a value of type from by pointers, fields and arrays alone. (By way of a
// slice or a map it may: trees end.)
func circular(t, from reflect.Type, seen map[reflect.Type]bool) bool {
	if from == t {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	switch from.Kind() {
	case reflect.Pointer, reflect.Array:
		return circular(t, from.Elem(), seen)
	case reflect.Struct:
		for f := range from.Fields() {
			if (f.IsExported() || f.Anonymous) && circular(t, f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// checkMapKey is about the key of a map, which the library can take no address of.
func checkMapKey(t reflect.Type, path string) error {
	switch t.Key().Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err := hasOwnFormat(t.Key(), path+"[key]", false)
		return err
	}
	return fmt.Errorf("%s has keys of type %s: only strings and integers come back as they were", path, t.Key())
}

// formatPairs are the methods by which a type brings its own format, in the order in which the library looks for them.
var formatPairs = [...]struct{ enc, dec reflect.Type }{
	{reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.CustomDecoder]()},
	{reflect.TypeFor[msgpack.Marshaler](), reflect.TypeFor[msgpack.Unmarshaler]()},
	{reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()},
	{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()},
}

// hasOwnFormat reports whether t encodes and decodes itself. One without the other is an error, and so is a struct that
// may have these methods only from a field embedded in it: its other fields would be lost.
func hasOwnFormat(t reflect.Type, path string, addressable bool) (bool, error) {
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer {
		return false, nil // an interface is refused, a pointer's element is looked at
	}
	p := reflect.PointerTo(t)
	for _, pair := range formatPairs {
		enc := t.Implements(pair.enc)
		if !enc && !p.Implements(pair.enc) {
			if p.Implements(pair.dec) {
				return false, fmt.Errorf("%s has methods to decode itself and none to encode", path)
			}
			continue
		}
		switch {
		case !enc && !addressable:
			return false, fmt.Errorf("%s is in a map, where the methods of *%s cannot be called", path, t)
		case !p.Implements(pair.dec):
			return false, fmt.Errorf("%s has methods to encode itself and none to decode", path)
		case t.Kind() != reflect.Struct:
		case t.NumField() > 1 && embeds(t, pair.enc):
			return false, fmt.Errorf("%s embeds a type that encodes itself, and its other fields would be lost: name the field", path)
		case t.NumField() == 1 && t.Field(0).Anonymous && t.Field(0).Type.Kind() == reflect.Pointer:
			return false, errEmbeddedPointer(path + "." + t.Field(0).Name)
		}
		return true, nil
	}
	return false, nil
}

func errEmbeddedPointer(path string) error {
	return fmt.Errorf("%s is an embedded pointer, and nil would come back as an empty struct: name the field, or embed the struct", path)
}

func embeds(t, method reflect.Type) bool {
	for f := range t.Fields() {
		if f.Anonymous && (f.Type.Implements(method) || reflect.PointerTo(f.Type).Implements(method)) {
			return true
		}
	}
	return false
}
