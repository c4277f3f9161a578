package frameworks_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/seed48eb2e21/webfarm/configsync"
)

type schemaLimits struct {
	Items int8
	Rate  float32
	Wait  time.Duration `reload:"restart"`
}

type schemaCommon struct{ Banner string }

type schemaList []schemaList

type schemaSite struct {
	schemaCommon
	Debug  bool
	Count  uint16
	Large  int64
	Most   uint64
	Ratio  float64
	Since  time.Time
	Net    netip.Prefix
	Level  slog.Level
	Prices map[string]int32
	Ports  []uint16
	Max    *int
	Limits schemaLimits
	Extra  *schemaLimits
	Shops  map[string]schemaLimits
	Rows   []schemaLimits
	Maybe  []*schemaLimits
	Kids   map[string]*schemaSite
	Lists  schemaList
	Pay    struct {
		Key  configsync.Secret
		Note string
	}
}

var schemaOf = configsync.NewConfig("site", schemaSite{
	schemaCommon: schemaCommon{"Tea & <mugs>"}, Prices: map[string]int32{"tea": 300}, Ratio: 1e-7, Ports: []uint16{80},
	Net: netip.MustParsePrefix("10.0.0.0/8"), Limits: schemaLimits{20, 0.1, 5 * time.Second},
	Extra: &schemaLimits{}, Rows: []schemaLimits{{Items: -1}}, Lists: schemaList{{}, {{}}},
})

// compiled returns the schema as a validator has it, and what it is made of.
func compiled(t *testing.T) (s *jsonschema.Schema, made any) {
	t.Helper()
	made, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaOf.JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("site.schema.json", made); err != nil {
		t.Fatal(err)
	}
	if s, err = c.Compile("site.schema.json"); err != nil { // which looks at it by the schema of schemas
		t.Fatal(err)
	}
	return s, made
}

// refused returns what files, and what the schema have against a text; nil = nothing.
func refused(t *testing.T, s *jsonschema.Schema, text string) (file, schema error) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return configsync.Check(configsync.Files{"site.json": text}, schemaOf), s.Validate(v)
}

// values are such as somebody may write anywhere.
var values = []string{`null`, `true`, `0`, `-0`, `-1`, `127`, `128`, `-129`, `65535`, `65536`, `2147483648`, `0.5`, `-2e-3`,
	`1e30`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `3.4028235e38`, `3.4028236e38`,
	`-3.5e38`, `""`, `"text"`, `"true"`, `"1"`, `"90s"`, `"-1h1.5m.5s"`, `"0"`, `"1.s"`, `".s"`, `"1 h"`, `"µs"`, `"1µs2μs"`,
	`"90"`, `"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.123456789+01:00"`, `"2026-01-02"`, `"2026-02-30T03:04:05Z"`,
	`[]`, `[null]`, `[1]`, `[-1]`, `["a"]`, `[[]]`, `[[], [[]]]`, `[{}]`, `[{"items": 1}]`, `[{"item": 1}]`, `{}`,
	`{"a": null}`, `{"a": 1}`, `{"a": {}}`, `{"items": 1}`, `{"items": null}`, `{"Items": 1}`, `{"rate": 1, "wait": "1s"}`,
	`{"a": {"items": 1}}`, `{"a": {"items": "1"}}`, `{"a": {"kids": {"b": {"banner": "x"}}}}`, `{"a": {"kids": {"b": {"baner": "x"}}}}`,
	`{"key": "text"}`, `{"key": {"$secret": "s1.0123456789abcdef.AbCd"}}`, `{"key": {"$secret": "text"}}`, `{"key": {}}`,
	`{"key": null, "note": ""}`, `{"note": "x", "more": 1}`}

// TestJSONSchemaAgrees has what a program's types take compared with what its JSON Schema takes, by a validator of
// others: each of many values at each place where there is a field, or none. Where they differ it is as the
// documentation of JSONSchema says.
func TestJSONSchemaAgrees(t *testing.T) {
	s, made := compiled(t)
	fields := []string{"baner", "schemaCommon", "locked.", "$secret"}
	for name := range made.(map[string]any)["properties"].(map[string]any) {
		if name != "paths" && name != "locked" {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	counts := map[string]int{}
	look := func(text string, laxer bool) {
		file, schema := refused(t, s, text)
		counts[fmt.Sprintf("files %v, schema %v", file == nil, schema == nil)]++
		if file == nil && schema != nil || file != nil && schema == nil && !laxer {
			t.Errorf("%s\nfiles: %v\nschema: %v", text, file, schema)
		}
	}
	for _, name := range fields {
		for _, v := range values {
			single := v[0] != '[' && v[0] != '{' && v != "null"
			laxer := single && (name == "net" || name == "level") // which read their text by themselves
			look(fmt.Sprintf(`{%q: %s}`, name, v), laxer)
			look(fmt.Sprintf(`{"paths": {"/shop/": {%q: %s}}}`, name, v), laxer)
			look(fmt.Sprintf(`{"kids": {"a": {"kids": {"b": {%q: %s}}}}}`, name, v), laxer)
		}
	}
	for _, v := range values {
		for _, at := range []string{`{"paths": %s}`, `{"paths": {"/shop/": %s}}`, `{"locked": %s}`, `{"maybe": [%s]}`,
			`{"rows": [%s]}`, `{"shops": {"a": %s}}`, `{"limits": {"wait": %s}}`, `{"extra": {"items": %s}}`} {
			look(fmt.Sprintf(at, v), false)
		}
	}
	for _, p := range []string{"/", "/shop", "shop/", "/shop/", "/a/b/", "/a//b/", "/./", "/../", "/.a/", "/..a/", "/.../", "/a/./",
		"/a/../b/", "/a*/", "/a?/", "/{a}/", "/a%2f/", "/a#/", `/a\\/`, "/ü ä/", "//", "", "/" + strings.Repeat("a", 254) + "/",
		"/" + strings.Repeat("a", 255) + "/"} {
		look(fmt.Sprintf(`{"paths": {"%s": {}}}`, p), false)
	}
	for _, l := range []string{"prices", "prices.tea", "limits.items", `prices.\"green tea\"`, "price", "pricess", "", "paths", "locked"} {
		look(fmt.Sprintf(`{"locked": ["%s"]}`, l), false)
	}
	sections := make([]string, 65)
	for i := range sections {
		sections[i] = fmt.Sprintf(`"/%d/": {}`, i)
	}
	look(fmt.Sprintf(`{"paths": {%s}}`, strings.Join(sections[1:], ",")), false)
	look(fmt.Sprintf(`{"paths": {%s}}`, strings.Join(sections, ",")), false)
	t.Log(counts)
	for _, n := range []string{"files true, schema true", "files false, schema false", "files false, schema true"} {
		if counts[n] < 50 {
			t.Errorf("%s: %d", n, counts[n])
		}
	}
}

// TestJSONSchemaIsLaxer has what no schema can tell, as the documentation of JSONSchema lists it.
func TestJSONSchemaIsLaxer(t *testing.T) {
	s, _ := compiled(t)
	for text, want := range map[string]string{
		`{"count": 1.0}`:               "it takes a whole number",
		`{"net": "10.0.0.0/33"}`:       "netip.ParsePrefix",
		`{"locked": ["limits.item"]}`:  "did you mean items?",
		`{"locked": ["banner.x"]}`:     "is one value",
		`{"banner": "\u0000"}`:         "holds NUL",
		`{"limits": {"wait": "1e9h"}}`: "",
	} {
		file, schema := refused(t, s, text)
		if file == nil || !strings.Contains(file.Error(), want) || (schema == nil) != (want != "") {
			t.Errorf("%s\nfiles: %v\nschema: %v", text, file, schema)
		}
	}
}

// TestJSONSchemaDefaults: the defaults that the schema shows are such as it takes, and none is of a secret.
func TestJSONSchemaDefaults(t *testing.T) {
	s, made := compiled(t)
	n := 0
	var of func(s any) (v any, ok bool)
	of = func(s any) (any, bool) {
		m := s.(map[string]any)
		if m["writeOnly"] == true {
			if _, ok := m["default"]; ok {
				t.Error("a secret has a default")
			}
			return nil, false
		}
		if d, ok := m["default"]; ok {
			n++
			return d, true
		}
		props, _ := m["properties"].(map[string]any)
		out := map[string]any{}
		for name, p := range props {
			if v, ok := of(p); ok {
				out[name] = v
			}
		}
		return out, len(out) > 0
	}
	all, _ := of(made)
	if err := s.Validate(all); err != nil || n < 15 {
		t.Errorf("%d defaults: %v", n, err)
	}
}
