package layer

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/internal/schema"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

type site struct {
	Banner string
	Prices map[string]int
	Limits struct{ Max, Min int }
	Tags   []string
}

var defaults = site{Banner: "default", Prices: map[string]int{"tea": 1}}

// stack reads files, from path to text, for the node n1 of the role front.
func stack(t *testing.T, files map[string]string) (Stack, *tree.Node, tree.Problems) {
	t.Helper()
	typ, err := schema.Of(reflect.TypeFor[site](), Words...)
	if err != nil {
		t.Fatal(err)
	}
	low, err := typ.Encode(reflect.ValueOf(defaults))
	if err != nil {
		t.Fatal(err)
	}
	var all []*Document
	var ps tree.Problems
	for file, text := range files {
		place, err := Locate(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		d, wrong := Read(typ, place, file, []byte(text), secret.Opener{})
		if ps = append(ps, wrong...); d != nil {
			all = append(all, d)
		}
	}
	s := For(all, "n1", "front")
	return s, low, append(ps, s.Locked()...)
}

func TestLayers(t *testing.T) {
	s, low, ps := stack(t, map[string]string{
		"site.yaml": "banner: global\nprices: {milk: 2}\npaths:\n  /shop/: {banner: shop, " +
			"limits: {max: 1}}\n",
		"roles/front/site.json":    `{"limits": {"max": 5, "min": 1}, "paths": {"/shop/tea/": {"tags": ["a"]}}}`,
		"roles/ordinary/site.yaml": "banner: other role",
		"nodes/n1/site.yml":        "prices: {tea: null, mead: 3}\npaths: {/shop/: {limits: {max: 2}}}\n",
		"nodes/n2/site.yaml":       "banner: other node",
	})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	for path, want := range map[string]string{
		"":                 "global [milk mead] 5 1 0",
		"/":                "global [milk mead] 5 1 0",
		"/shopping":        "global [milk mead] 5 1 0",
		"/shop":            "shop [milk mead] 2 1 0",
		"/shop/":           "shop [milk mead] 2 1 0",
		"/shop/x/y":        "shop [milk mead] 2 1 0",
		"/shop/tea/":       "shop [milk mead] 2 1 1",
		"/shop/tea/x/shop": "shop [milk mead] 2 1 1",
	} {
		n := Effective(s.Parts(low, path))
		var keys []string
		for _, f := range n.Get("prices").Fields {
			keys = append(keys, f.Name)
		}
		got := n.Get("banner").Text + " [" + strings.Join(keys, " ") + "] " +
			n.Lookup(tree.Path{"limits", "max"}).Text + " " +
			n.Lookup(tree.Path{"limits", "min"}).Text + " "
		if tags := n.Get("tags"); tags != nil {
			got += "1"
		} else {
			got += "0"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	if got := s.Sections(); !reflect.DeepEqual(got, []string{"/shop/", "/shop/tea/"}) {
		t.Error(got)
	}
}

func TestLocks(t *testing.T) {
	const locked = "locked: [limits.max, prices]\nlimits: {max: 1}\npaths: {/a/: {limits: {max: 2}}}\n"
	for above, want := range map[string]string{
		"limits: {min: 1}":                 "",
		"limits: {max: 1}":                 "nodes/n1/site.yaml:1:15: limits.max: is locked by site.yaml:1:10",
		"prices: {tea: 1}":                 "nodes/n1/site.yaml:1:9: prices: is locked by site.yaml:1:22",
		"prices: {}":                       "prices: is locked",
		"prices: null":                     "prices: is locked",
		"paths: {/b/: {limits: {max: 9}}}": "limits.max: is locked",
	} {
		_, _, ps := stack(t, map[string]string{"site.yaml": locked, "nodes/n1/site.yaml": above})
		if want == "" && len(ps) > 0 || !strings.Contains(ps.Error(), want) {
			t.Errorf("%s: got %v, want %s", above, ps, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"[1]":                              "site.yaml:1:1: is a list; it has to be a map of fields",
		"paths: 1":                         "site.yaml:1:8: paths: is a number",
		"paths: {/: {}}":                   "is the whole site",
		"paths: {shop: {}}":                "site.yaml:1:9: paths.shop: a path begins and ends with a slash",
		"paths: {/shop: {}}":               `paths."/shop": a path begins and ends`,
		"paths: {/a/../b/: {}}":            "no empty parts",
		"paths: {/a//b/: {}}":              "no empty parts",
		"paths: {//: {}}":                  "no empty parts",
		"paths: {/a*/: {}}":                "a path is plain",
		"paths: {/a%2f/: {}}":              "a path is plain",
		"paths: {/a/: 1}":                  "is a number; it takes a map of fields",
		"paths: {/a/: {baner: x}}":         `paths."/a/".baner: unknown field; did you mean banner?`,
		"paths: {/a/: {paths: {}}}":        "can be at the top of a file only",
		"paths: {/a/: {}, /a/: {}}":        "is here twice",
		"locked: prices":                   "locked: is text; it takes a list of fields",
		"locked: [price]":                  "locked: price: unknown field; did you mean prices?",
		"locked: [1]":                      "is a number; it takes the names",
		"locked: ['a b']":                  "is no path to a field",
		"locked: [banner.x]":               "is one value",
		"paths: {/a/: {limits: {max: a}}}": `paths."/a/".limits.max: is the text "a"`,
	} {
		_, _, ps := stack(t, map[string]string{"site.yaml": in})
		if !strings.Contains(ps.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, ps, want)
		}
	}
}

func TestLocate(t *testing.T) {
	for file, want := range map[string]string{
		"site.yaml": "site global", "roles/front/a-1.json": "a-1 role front",
		"nodes/n1:7946/site.yml": "site node n1:7946",
	} {
		p, err := Locate(file)
		if err != nil || p.Config+" "+p.String() != want {
			t.Errorf("%s: %v, %v", file, p, err)
		}
	}
	for file, want := range map[string]string{
		"site.toml": "has to end", "Site.yaml": "no name of a config", "x/site.yaml": "in no place",
		"roles/backend/site.yaml": "no role", "../site.yaml": "in no place", "/site.yaml": "in no place",
		"nodes/site.yaml": "in no place", "zones/a/site.yaml": "in no place", ".yaml": "no name",
		"nodes//site.yaml": "in no place",
	} {
		if p, err := Locate(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", file, p, err, want)
		}
	}
}
