package schema

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// validator is what a type, or a part of it, may be.
type validator interface{ Validate() error }

var validates = reflect.TypeFor[validator]()

// Validate asks v, and every part of it, whether it is valid. at says where the value at a path was written.
func (t *Type) Validate(v reflect.Value, at func(tree.Path) tree.Pos) tree.Problems {
	var ps tree.Problems
	t.validate(v, nil, func(in tree.Path, err error) {
		place, field := at(in), in.String()
		for _, e := range parts(err) {
			ps.Add(place, field, "%s", strings.ReplaceAll(e.Error(), "\n", " "))
		}
	})
	return ps
}

// parts returns the errors that were joined.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, parts(e)...)
	}
	return out
}

func (t *Type) validate(v reflect.Value, in tree.Path, report func(tree.Path, error)) {
	switch t.kind {
	case pointer:
		if !v.IsNil() {
			t.elem.validate(v.Elem(), in, report)
		}
		return
	case structure:
		for _, f := range t.fields {
			f.typ.validate(v.FieldByIndex(f.index), in.With(f.name), report)
		}
	case list:
		for i := range v.Len() {
			t.elem.validate(v.Index(i), in.Index(i), report)
		}
	case dict:
		for i := v.MapRange(); i.Next(); {
			item := reflect.New(t.elem.goType).Elem()
			item.Set(i.Value())
			t.elem.validate(item, in.With(i.Key().String()), report)
		}
	}
	if !reflect.PointerTo(t.goType).Implements(validates) {
		return
	}
	if err := ask(v); err != nil {
		report(in, err)
	}
}

// ask asks one value. A panic is an answer.
func ask(v reflect.Value) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case secret.UnreadError: // it cannot tell, where there are no keys
			err = nil
		default:
			err = fmt.Errorf("%v.Validate panicked: %s", v.Type(), strconv.Quote(fmt.Sprint(r)))
		}
	}()
	return v.Addr().Interface().(validator).Validate()
}
