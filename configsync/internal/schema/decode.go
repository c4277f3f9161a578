package schema

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Decode puts a whole tree into v, which is a zero value of the type that can be set. What the tree does not
// have stays zero. All that does not fit is in the problems.
func (t *Type) Decode(n *tree.Node, v reflect.Value) tree.Problems {
	d := decoder{}
	if n != nil {
		d.into(t, n, v, nil)
	}
	return d.problems
}

// Check returns what is wrong with a layer: a part of a tree, in which null takes away entries of maps.
func (t *Type) Check(n *tree.Node) tree.Problems {
	d := decoder{}
	d.into(t, n, reflect.New(t.goType).Elem(), nil)
	return d.problems
}

type decoder struct{ problems tree.Problems }

func (d *decoder) problem(n *tree.Node, in tree.Path, format string, args ...any) {
	d.problems.Add(n.At, in.String(), format, args...)
}

// into puts n into v.
func (d *decoder) into(t *Type, n *tree.Node, v reflect.Value, in tree.Path) {
	if n.Kind == tree.Null {
		if t.kind != hidden && !t.nilable() {
			d.problem(n, in, "has no value; it takes %s. To leave it as it is, leave the line out", t.wants())
		}
		return
	}
	switch t.kind {
	case pointer:
		v.Set(reflect.New(t.elem.goType))
		d.into(t.elem, n, v.Elem(), in)
	case structure:
		d.structure(t, n, v, in)
	case dict:
		d.dict(t, n, v, in)
	case list:
		d.list(t, n, v, in)
	default:
		if err := d.scalar(t, n, v); err != nil {
			d.problem(n, in, "%v", err)
		}
	}
}

func (d *decoder) structure(t *Type, n *tree.Node, v reflect.Value, in tree.Path) {
	if n.Kind != tree.Map {
		d.problem(n, in, "is %s; it takes %s", t.shown(n), t.wants())
		return
	}
	for _, e := range n.Fields {
		f := t.field(e.Name)
		switch {
		case f == nil:
			d.problems.Add(e.At, in.With(e.Name).String(), "%s", unknown(e.Name, t.Names()))
		default:
			d.into(f.typ, e.Value, v.FieldByIndex(f.index), in.With(e.Name))
		}
	}
}

func (d *decoder) dict(t *Type, n *tree.Node, v reflect.Value, in tree.Path) {
	if n.Kind != tree.Map {
		d.problem(n, in, "is %s; it takes %s", t.shown(n), t.wants())
		return
	}
	m := reflect.MakeMapWithSize(t.goType, len(n.Fields))
	for _, e := range n.Fields {
		if e.Value.Kind == tree.Null {
			continue // which takes the entry away
		}
		item := reflect.New(t.elem.goType).Elem()
		d.into(t.elem, e.Value, item, in.With(e.Name))
		m.SetMapIndex(reflect.ValueOf(e.Name).Convert(t.goType.Key()), item)
	}
	v.Set(m)
}

func (d *decoder) list(t *Type, n *tree.Node, v reflect.Value, in tree.Path) {
	if n.Kind != tree.List {
		d.problem(n, in, "is %s; it takes %s", shown(n), t.wants())
		return
	}
	s := reflect.MakeSlice(t.goType, len(n.Items), len(n.Items))
	for i, item := range n.Items {
		d.into(t.elem, item, s.Index(i), in.Index(i))
	}
	v.Set(s)
}

// Notations that everybody reads alike.
var (
	wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	anyNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

func (d *decoder) scalar(t *Type, n *tree.Node, v reflect.Value) (err error) {
	wrong := fmt.Errorf("is %s; it takes %s", shown(n), t.wants())
	switch t.kind {
	case boolean:
		if n.Kind != tree.Bool || n.Text != "true" && n.Text != "false" {
			return wrong
		}
		v.SetBool(n.Text == "true")
	case integer, unsigned:
		if n.Kind != tree.Number || !wholeNumber.MatchString(n.Text) {
			return wrong
		}
		return t.whole(n.Text, v)
	case float:
		if n.Kind != tree.Number || !anyNumber.MatchString(n.Text) {
			return wrong
		}
		f, err := strconv.ParseFloat(n.Text, t.goType.Bits())
		if err != nil || math.IsInf(f, 0) {
			return fmt.Errorf("%s does not fit: it is too large for a %v", n.Text, t.goType.Kind())
		}
		v.SetFloat(f)
	case duration:
		span, err := time.ParseDuration(n.Text)
		if err != nil || n.Kind != tree.Text {
			return wrong
		}
		v.SetInt(int64(span))
	case text:
		if n.Kind != tree.Text {
			return fmt.Errorf("%w: write it in quotes, %q", wrong, n.Text)
		}
		v.SetString(n.Text)
	case hidden:
		if n.Kind != tree.Secret {
			return fmt.Errorf("is %s; it takes a secret", n.Kind)
		}
		v.Set(reflect.ValueOf(n.Secret))
	case marshals:
		if n.Kind == tree.List || n.Kind == tree.Map {
			return wrong
		}
		return unmarshal(t, n.Text, v)
	}
	return nil
}

// whole puts a whole number into v, if it fits.
func (t *Type) whole(s string, v reflect.Value) error {
	bits := t.goType.Bits()
	if t.kind == integer {
		i, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			least := int64(-1) << (bits - 1)
			return fmt.Errorf("%s does not fit: it takes %d to %d", s, least, -(least + 1))
		}
		v.SetInt(i)
		return nil
	}
	u, err := strconv.ParseUint(s, 10, bits)
	if err != nil && s != "-0" {
		return fmt.Errorf("%s does not fit: it takes 0 to %d", s, uint64(math.MaxUint64)>>(64-bits))
	}
	v.SetUint(u)
	return nil
}

// unmarshal has a type read text by itself.
func unmarshal(t *Type, s string, v reflect.Value) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v.UnmarshalText panicked: %v", t.goType, r)
		}
	}()
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
}

// shown is a value in a message; not where a secret may have been written a level too high.
func (t *Type) shown(n *tree.Node) string {
	if t.secrets(map[*Type]bool{}) {
		return n.Kind.String()
	}
	return shown(n)
}

// shown is a value in a message.
func shown(n *tree.Node) string {
	const most = 40
	s := n.Text
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	switch n.Kind {
	case tree.Text:
		return fmt.Sprintf("the text %q", s)
	case tree.Number:
		return "the number " + s
	case tree.Bool:
		return "the value " + s
	}
	return n.Kind.String()
}

// wants says what a type takes, for messages.
func (t *Type) wants() string {
	switch t.kind {
	case boolean:
		return "true or false"
	case integer, unsigned:
		return "a whole number, in decimal"
	case float:
		return "a number, in decimal"
	case duration:
		return "a length of time, such as 90s or 1h30m"
	case list:
		return "a list"
	case structure, dict:
		return "a map"
	case pointer:
		return t.elem.wants()
	case hidden:
		return "a secret"
	case marshals:
		return "the text of a " + t.goType.String()
	}
	return "text"
}
