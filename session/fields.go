package session

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// structFields is how the msgpack library sees a struct: under which names it stores which fields. It has rules of its own
// for what is embedded, and where they give two fields one name, one of the two is lost.
type structFields struct {
	list    []structField
	asArray bool // stored as an array, without names
}

type structField struct {
	name  string
	path  string // how a person would reach it
	t     reflect.Type
	index []int
}

// fieldsOf returns the fields of a struct, those of structs embedded in it included. It says what would be lost, or come
// back as something else.
func fieldsOf(t reflect.Type, path string) (structFields, error) {
	c := fieldCollector{path: path, taken: map[string]string{}}
	for f := range t.Fields() {
		if err := c.field(f); err != nil {
			return structFields{}, err
		}
	}
	stored := len(c.fields.list) + c.left
	switch {
	case stored == 0 && t.ConvertibleTo(reflect.TypeFor[time.Time]()):
		return structFields{}, fmt.Errorf("%s is a named time type, which is stored empty: use time.Time", path)
	case stored == 0 && t.NumField() > 0:
		return structFields{}, fmt.Errorf("%s is a struct without exported fields, which is stored empty", path)
	case c.lost != "":
		return structFields{}, fmt.Errorf("%s is not exported and would be lost: export it, or say `msgpack:\"-\"` if it may be", c.lost)
	}
	return c.fields, nil
}

type fieldCollector struct {
	path      string
	fields    structFields
	taken     map[string]string // name in the store -> path of the field
	omitEmpty bool              // of all fields
	left      int               // fields that are left out because their tag says so
	lost      string            // path of a field that cannot be stored
}

func (c *fieldCollector) field(f reflect.StructField) error {
	path, tag := c.path+"."+f.Name, parseTag(f.Tag.Get("msgpack"))
	switch {
	case tag.name == "-":
		c.left++
		return nil
	case f.Name == "_msgpack":
		c.fields.asArray = tag.has("as_array") || tag.has("asArray")
		c.omitEmpty = tag.has("omitempty")
		return nil
	case f.Name == "_":
		return nil
	case !f.IsExported() && !f.Anonymous:
		c.lost = path
		return nil
	case f.Anonymous && f.Type.Kind() == reflect.Pointer:
		return errEmbeddedPointer(path)
	}
	if tag.name == "" {
		tag.name = f.Name
	}
	if f.Anonymous && !tag.has("noinline") {
		if inlined, err := c.inline(f, path, tag); inlined || err != nil {
			return err
		}
	}
	if !f.IsExported() {
		return fmt.Errorf("%s is an embedded field of an unexported type, which cannot be set: name and export the field", path)
	}
	if (c.omitEmpty || tag.has("omitempty")) && lossyWhenEmpty(f.Type) {
		return fmt.Errorf("%s is left out when it is empty, and would come back as its zero value: take omitempty from its tag", path)
	}
	if alias, ok := tag.value("alias"); ok {
		if err := c.take(alias, path); err != nil {
			return err
		}
	}
	return c.add(structField{name: tag.name, path: path, t: f.Type, index: f.Index})
}

// inline takes the fields of an embedded struct in among the struct's own, if the library does so.
func (c *fieldCollector) inline(f reflect.StructField, path string, tag fieldTag) (bool, error) {
	if f.Type.Kind() != reflect.Struct || f.Type == reflect.TypeFor[time.Time]() {
		return false, nil
	}
	if own, err := hasOwnFormat(f.Type, path, true); own || err != nil {
		return false, err
	}
	inner, err := fieldsOf(f.Type, path)
	if err != nil {
		return false, err
	}
	for _, field := range inner.list {
		if other, ok := c.taken[field.name]; ok {
			if tag.has("inline") {
				return false, errSameName(other, field.path, field.name)
			}
			return false, nil // it is stored as a struct of its own then
		}
	}
	for _, field := range inner.list {
		field.index = append(append([]int{}, f.Index...), field.index...)
		if err := c.add(field); err != nil {
			return false, err
		}
	}
	return true, c.take(tag.name, path)
}

func (c *fieldCollector) add(f structField) error {
	if err := c.take(f.name, f.path); err != nil {
		return err
	}
	c.fields.list = append(c.fields.list, f)
	return nil
}

func (c *fieldCollector) take(name, path string) error {
	if other, ok := c.taken[name]; ok {
		return errSameName(other, path, name)
	}
	c.taken[name] = path
	return nil
}

func errSameName(a, b, name string) error {
	return fmt.Errorf("%s and %s would both be stored as %q, and one be lost: name the embedded field, or give one of them a tag",
		a, b, name)
}

// lossyWhenEmpty reports whether values of t that count as empty differ from each other.
func lossyWhenEmpty(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() {
		return false
	}
	return t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Implements(reflect.TypeFor[interface{ IsZero() bool }]())
}

// fieldTag is the struct tag of the msgpack library: a name and options, some of which have values.
type fieldTag struct {
	name    string
	options []string
}

func parseTag(tag string) (t fieldTag) {
	for i, part := range strings.Split(tag, ",") {
		part = strings.TrimSpace(part)
		if i == 0 && !strings.Contains(part, ":") {
			t.name = part
		} else {
			t.options = append(t.options, part)
		}
	}
	return t
}

func (t fieldTag) has(option string) bool {
	for _, o := range t.options {
		if name, _, _ := strings.Cut(o, ":"); name == option {
			return true
		}
	}
	return false
}

func (t fieldTag) value(option string) (string, bool) {
	for _, o := range t.options {
		if name, value, ok := strings.Cut(o, ":"); ok && name == option {
			return strings.Trim(value, "'"), true
		}
	}
	return "", false
}
