package schema

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Encode returns the tree of a value: what Decode makes the value of. Nil pointers, maps and lists are not
// in it.
func (t *Type) Encode(v reflect.Value) (*tree.Node, error) {
	n, err := t.encode(v, 0)
	if err != nil {
		return nil, err
	}
	again := reflect.New(t.goType).Elem()
	if ps := t.Decode(n, again); len(ps) > 0 {
		return nil, ps.Err()
	}
	if back, err := t.encode(again, 0); err != nil || !Equal(n, back) {
		return nil, fmt.Errorf("a %v would come back from a file as another value", t.goType)
	}
	return n, nil
}

func (t *Type) encode(v reflect.Value, depth int) (*tree.Node, error) {
	if depth > tree.MaxDepth {
		return nil, fmt.Errorf("is nested deeper than %d levels", tree.MaxDepth)
	}
	switch t.kind {
	case boolean:
		return &tree.Node{Kind: tree.Bool, Text: strconv.FormatBool(v.Bool())}, nil
	case integer:
		return &tree.Node{Kind: tree.Number, Text: strconv.FormatInt(v.Int(), 10)}, nil
	case unsigned:
		return &tree.Node{Kind: tree.Number, Text: strconv.FormatUint(v.Uint(), 10)}, nil
	case float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%v is no number that a file can hold", f)
		}
		return &tree.Node{Kind: tree.Number, Text: strconv.FormatFloat(v.Float(), 'g', -1, t.goType.Bits())}, nil
	case duration:
		return &tree.Node{Kind: tree.Text, Text: time.Duration(v.Int()).String()}, nil
	case text:
		return &tree.Node{Kind: tree.Text, Text: v.String()}, nil
	case marshals:
		return marshal(v)
	case hidden:
		if !v.IsZero() {
			return nil, errors.New("is a secret with a default, which would lie in the program for all to read: leave " +
				"it empty here")
		}
		return nil, nil
	}
	return t.encodeCompound(v, depth)
}

func (t *Type) encodeCompound(v reflect.Value, depth int) (*tree.Node, error) {
	if t.kind != structure && v.IsNil() {
		return nil, nil
	}
	n := &tree.Node{Kind: tree.Map}
	add := func(name string, typ *Type, v reflect.Value) error {
		item, err := typ.encode(v, depth+1)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case item == nil:
			return nil
		case t.kind == list:
			n.Items = append(n.Items, item)
		default:
			n.Fields = append(n.Fields, tree.Field{Name: name, Value: item})
		}
		return nil
	}
	switch t.kind {
	case pointer:
		return t.elem.encode(v.Elem(), depth)
	case list:
		n.Kind = tree.List
		for i := range v.Len() {
			if t.elem.nilable() && v.Index(i).IsNil() {
				n.Items = append(n.Items, &tree.Node{Kind: tree.Null}) // the others keep their places
			} else if err := add(strconv.Itoa(i), t.elem, v.Index(i)); err != nil {
				return nil, err
			}
		}
	case dict:
		for _, key := range slices.Sorted(maps.Keys(keyed(v))) {
			if t.elem.nilable() && keyed(v)[key].IsNil() {
				return nil, fmt.Errorf("%s: is nil, which in a file takes the entry away", key)
			}
			if err := add(key, t.elem, keyed(v)[key]); err != nil {
				return nil, err
			}
		}
	case structure:
		for _, f := range t.fields {
			if err := add(f.name, f.typ, v.FieldByIndex(f.index)); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

func (t *Type) nilable() bool { return t.kind == pointer || t.kind == dict || t.kind == list }

func keyed(v reflect.Value) map[string]reflect.Value {
	out := make(map[string]reflect.Value, v.Len())
	for i := v.MapRange(); i.Next(); {
		out[i.Key().String()] = i.Value()
	}
	return out
}

// marshal has a type write itself as text.
func marshal(v reflect.Value) (n *tree.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("MarshalText panicked: %v", r)
		}
	}()
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	b, err := p.Interface().(encoding.TextMarshaler).MarshalText()
	return &tree.Node{Kind: tree.Text, Text: string(b)}, err
}

// Equal reports whether two trees hold the same, wherever it was written and in whichever order.
func Equal(a, b *tree.Node) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.Kind != b.Kind || a.Text != b.Text || !a.Secret.Same(b.Secret) ||
		len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields):
		return false
	}
	for i := range a.Items {
		if !Equal(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for _, f := range a.Fields {
		if other := b.Get(f.Name); other == nil || !Equal(f.Value, other) {
			return false
		}
	}
	return true
}
