package cluster

import (
	"reflect"
	"testing"
)

// A part of a node has what it needs as fields, and not the Node. Nothing hides a field of the base: one
// that a part, or Node, had once more would stay empty without any complaint.
func TestPartsStandOnTheBase(t *testing.T) {
	node, base := reflect.TypeFor[Node](), reflect.TypeFor[base]()
	parts := []reflect.Type{node}
	for i := range node.NumField() {
		f := node.Field(i).Type
		if f.Kind() != reflect.Pointer || f.Elem().Kind() != reflect.Struct || f.Elem() == base {
			continue
		}
		if b, ok := f.Elem().FieldByName("base"); ok && b.Type.Elem() == base {
			parts = append(parts, f.Elem())
		}
	}
	if len(parts) < 15 {
		t.Fatalf("only %d parts were found", len(parts)-1)
	}
	for _, part := range parts {
		for i := range part.NumField() {
			f := part.Field(i)
			if f.Type == reflect.PointerTo(node) {
				t.Errorf("%s.%s is the Node", part.Name(), f.Name)
			}
			if _, hides := base.FieldByName(f.Name); hides {
				t.Errorf("%s.%s hides a field of the base", part.Name(), f.Name)
			}
		}
	}
}
