package schema

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// JSONSchema is a schema of JSON Schema, draft 2020-12: the keywords that configuration needs. The zero JSONSchema
// takes everything.
type JSONSchema struct {
	Dialect     string                 `json:"$schema,omitempty"`
	Ref         string                 `json:"$ref,omitempty"`
	Title       string                 `json:"title,omitempty"`
	Description string                 `json:"description,omitempty"`
	Type        []string               `json:"-"` // one of them; none = any
	Default     json.RawMessage        `json:"default,omitempty"`
	WriteOnly   bool                   `json:"writeOnly,omitempty"`
	Pattern     string                 `json:"pattern,omitempty"`
	Format      string                 `json:"format,omitempty"`
	Minimum     json.Number            `json:"minimum,omitempty"`
	Maximum     json.Number            `json:"maximum,omitempty"`
	Above       json.Number            `json:"exclusiveMinimum,omitempty"`
	Below       json.Number            `json:"exclusiveMaximum,omitempty"`
	MaxLength   int                    `json:"maxLength,omitempty"`
	Items       *JSONSchema            `json:"items,omitempty"`
	Names       *JSONSchema            `json:"propertyNames,omitempty"`
	Most        int                    `json:"maxProperties,omitempty"`
	Required    []string               `json:"required,omitempty"`
	Properties  map[string]*JSONSchema `json:"properties,omitempty"`
	Closed      bool                   `json:"-"` // no other properties
	Others      *JSONSchema            `json:"-"` // other properties, unless it is closed; nil = any
	Defs        map[string]*JSONSchema `json:"$defs,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (s *JSONSchema) MarshalJSON() ([]byte, error) {
	type plain JSONSchema // without this method
	out := struct {
		Type any `json:"type,omitempty"`
		*plain
		Others any `json:"additionalProperties,omitempty"`
	}{plain: (*plain)(s)}
	switch {
	case len(s.Type) == 1:
		out.Type = s.Type[0]
	case len(s.Type) > 1:
		out.Type = s.Type
	}
	switch {
	case s.Closed:
		out.Others = false
	case s.Others != nil:
		out.Others = s.Others
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return b.Bytes(), err
}

// orNull lets it take null as well.
func (s *JSONSchema) orNull() *JSONSchema {
	switch {
	case s.Ref != "":
		s.Type = nil // definitions take null
	case !slices.Contains(s.Type, "null"):
		s.Type = append(s.Type, "null")
	}
	return s
}

// classed says in the description of what class a field is.
func (s *JSONSchema) classed(c Class) *JSONSchema {
	if c == Restart {
		s.Description = strings.TrimSpace(s.Description + " A change has its effect when a node is started again.")
	}
	return s
}
