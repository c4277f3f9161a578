package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// JSONSchema returns what Check takes, at a place where defaults hold, and what it takes where they do not: a
// reference to one of the definitions of the first. It is never stricter than Check.
func (t *Type) JSONSchema(defaults *tree.Node) (root, part *JSONSchema) {
	w := schemaWriter{defs: map[string]*JSONSchema{}, names: map[*Type]string{}}
	root = w.object(t, defaults, Hot)
	part = w.of(t, "fields")
	root.Defs = w.defs
	return root, part
}

// schemaWriter holds the definitions. A type that holds its own kind comes to an end by them.
type schemaWriter struct {
	defs  map[string]*JSONSchema
	names map[*Type]string
}

// object returns what a struct takes where its defaults are known: all within it are written out, so that each field
// shows its own. above is the class of what it is a part of.
func (w *schemaWriter) object(t *Type, defaults *tree.Node, above Class) *JSONSchema {
	s := &JSONSchema{Type: []string{"object"}, Properties: map[string]*JSONSchema{}, Closed: true}
	for _, f := range t.fields {
		class, is := max(above, f.class), defaults.Get(f.name)
		var p *JSONSchema
		if f.typ.kind == structure {
			p = w.object(f.typ, is, class)
		} else if p = w.of(f.typ, f.name); is != nil {
			p.Default = json.RawMessage(is.String())
		}
		s.Properties[f.name] = p.classed(class)
	}
	return s
}

// of returns what a type takes, wherever it is; null too, if it can be nil. name is that of the field by which it was
// found.
func (w *schemaWriter) of(t *Type, name string) *JSONSchema {
	switch t.kind {
	case pointer:
		return w.of(t.elem, name).orNull()
	case structure:
		return &JSONSchema{Ref: w.ref(t, name), Type: []string{"object"}}
	case list, dict:
		if t.goType.Name() != "" { // it may hold itself
			return &JSONSchema{Ref: w.ref(t, name)}
		}
		return w.compound(t, name)
	}
	return t.single()
}

// ref returns a reference to the definition of a type.
func (w *schemaWriter) ref(t *Type, name string) string {
	if known, ok := w.names[t]; ok {
		return "#/$defs/" + known
	}
	base := plainWord(cmp.Or(t.goType.Name(), name))
	unique := base
	for i := 2; w.defs[unique] != nil; i++ {
		unique = fmt.Sprintf("%s%d", base, i)
	}
	w.names[t] = unique
	def := &JSONSchema{}
	w.defs[unique] = def
	*def = *w.compound(t, name)
	return "#/$defs/" + unique
}

// compound returns what a struct, list or map takes, or null.
func (w *schemaWriter) compound(t *Type, name string) *JSONSchema {
	switch t.kind {
	case list:
		return &JSONSchema{Type: []string{"array", "null"}, Items: w.of(t.elem, name)}
	case dict: // null takes an entry away
		return &JSONSchema{Type: []string{"object", "null"}, Others: w.of(t.elem, name).orNull()}
	}
	s := &JSONSchema{Type: []string{"object", "null"}, Properties: map[string]*JSONSchema{}, Closed: true}
	for _, f := range t.fields {
		s.Properties[f.name] = w.of(f.typ, f.name).classed(f.class)
	}
	return s
}

// plainWord returns the name of a type as a definition's: that of a generic one has paths of packages in it.
func plainWord(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, name)
}

// Texts, as regular expressions that Go and ECMA-262 read alike.
const (
	durationText = `^[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$` // what time.ParseDuration takes
	sealedText   = `^s1\.[0-9a-fA-F]{16}\.[A-Za-z0-9_-]*$`
)

// single returns what a type takes that is one value.
func (t *Type) single() *JSONSchema {
	switch t.kind {
	case boolean:
		return &JSONSchema{Type: []string{"boolean"}}
	case integer:
		least := int64(-1) << (t.goType.Bits() - 1)
		return &JSONSchema{Type: []string{"integer"}, Minimum: json.Number(strconv.FormatInt(least, 10)),
			Maximum: json.Number(strconv.FormatInt(-(least + 1), 10))}
	case unsigned:
		most := uint64(math.MaxUint64) >> (64 - t.goType.Bits())
		return &JSONSchema{Type: []string{"integer"}, Minimum: "0", Maximum: json.Number(strconv.FormatUint(most, 10))}
	case float:
		s := &JSONSchema{Type: []string{"number"}}
		if t.goType.Kind() == reflect.Float32 { // what is nearer to the next power of two than to the largest is too large
			s.Above, s.Below = "-3.4028235677973366e+38", "3.4028235677973366e+38"
		}
		return s
	case duration:
		return &JSONSchema{Type: []string{"string"}, Pattern: durationText, Description: sentence(t.wants())}
	case hidden:
		return &JSONSchema{Type: []string{"object", "null"}, WriteOnly: true, Closed: true, Required: []string{secret.Word},
			Properties:  map[string]*JSONSchema{secret.Word: {Type: []string{"string"}, Pattern: sealedText}},
			Description: "A secret, sealed: farmctl config secret writes it."}
	case marshals:
		s := &JSONSchema{Type: []string{"string", "number", "boolean"}, Description: sentence(t.wants())}
		if t.goType == reflect.TypeFor[time.Time]() {
			s.Type, s.Format = []string{"string"}, "date-time"
		}
		return s
	}
	return &JSONSchema{Type: []string{"string"}}
}

// sentence returns words as a sentence.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
