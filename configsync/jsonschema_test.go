package configsync_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type schemaLimits struct {
	Items   int8
	Rate    float32       `json:"rate"`
	Timeout time.Duration `reload:"restart"`
}

type schemaCommon struct{ Banner string }

type schemaNode struct {
	Name string `json:"the name"`
	Kids []schemaNode
	Next *schemaNode
}

type schemaTree []schemaTree

type schemaSite struct {
	schemaCommon
	Debug  bool
	Prices map[string]uint16
	Limits schemaLimits `reload:"restart"`
	Extra  *schemaLimits
	Shops  map[string]schemaLimits
	Menu   schemaNode
	Tree   schemaTree
	Level  slog.Level
	Since  time.Time
	Ports  []int64
	Max    *uint64
	Pay    struct {
		Key  configsync.Secret
		Keys map[string]*configsync.Secret
	}
	Hidden chan int `json:"-"`
}

var schemaOf = configsync.NewConfig("shop", schemaSite{
	schemaCommon: schemaCommon{"Tea & <mugs>"}, Prices: map[string]uint16{"tea": 300},
	Limits: schemaLimits{20, 0.5, 5 * time.Second}, Level: slog.LevelWarn, Ports: []int64{80},
	Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
})

// TestJSONSchema: the schema of a type with all that a type can have, as people and editors get it.
func TestJSONSchema(t *testing.T) {
	got := schemaOf.JSONSchema()
	const file = "testdata/shop.schema.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s is now\n%s\ngo test -update rewrites it", file, got)
	}
	if (configsync.Config[schemaSite]{}).JSONSchema() != nil {
		t.Error("the zero Config has a schema")
	}
}

// TestJSONSchemaNames: every name that the schema has is one that files can hold, at that place, and no other is.
// The module examples/frameworks has the same for values.
func TestJSONSchemaNames(t *testing.T) {
	type schema struct {
		Ref         string             `json:"$ref"`
		Type        any                `json:"type"`
		Properties  map[string]*schema `json:"properties"`
		Others      json.RawMessage    `json:"additionalProperties"`
		Items       *schema            `json:"items"`
		Definitions map[string]*schema `json:"$defs"`
	}
	root := &schema{}
	if err := json.Unmarshal(schemaOf.JSONSchema(), root); err != nil {
		t.Fatal(err)
	}
	count := 0
	// within[0] + document + within[1] is a file; deep is how much further types that hold themselves are followed.
	var walk func(s *schema, within [2]string, deep int)
	taken := func(within [2]string, doc string) error {
		return configsync.Check(configsync.Files{"shop.json": within[0] + doc + within[1]}, schemaOf)
	}
	walk = func(s *schema, within [2]string, deep int) {
		if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
			if s, ok = root.Definitions[name]; !ok {
				t.Errorf("%s: no definition %s", within, name)
				return
			}
		}
		if deep == 0 {
			return
		}
		if s.Items != nil {
			walk(s.Items, [2]string{within[0] + "[", "]" + within[1]}, deep-1)
		}
		other, closed := &schema{}, string(s.Others) == "false"
		if !closed && json.Unmarshal(s.Others, other) == nil {
			name := `{"/a/":`
			walk(other, [2]string{within[0] + name, "}" + within[1]}, deep-1)
		}
		if closed && s.Properties["$secret"] == nil {
			count++
			if err := taken(within, `{"noSuchName": null}`); err == nil || !strings.Contains(err.Error(), "unknown field") {
				t.Errorf("%s: an unknown field: %v", within, err)
			}
		}
		for name, p := range s.Properties {
			if name == "$secret" {
				continue
			}
			count++
			err := taken(within, fmt.Sprintf("{%q: null}", name)) // which many do not take, but for another reason
			if err != nil && strings.Contains(err.Error(), "unknown field") {
				t.Errorf("%s: %v", within, err)
			}
			types, _ := p.Type.([]any)
			nilable := slices.Contains(types, "null") || p.Ref != "" && p.Type == nil
			if nilable != (err == nil) {
				t.Errorf("%s: %q is null: the schema says %v, files are %v", within, name, nilable, err)
			}
			walk(p, [2]string{within[0] + fmt.Sprintf("{%q:", name), "}" + within[1]}, deep-1)
		}
	}
	walk(root, [2]string{}, 6)
	if count < 100 {
		t.Errorf("only %d names were found", count)
	}
}
