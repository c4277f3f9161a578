package tree

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// show writes a tree in one line, with the place of each value.
func show(n *Node) string {
	if n == nil {
		return "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d ", n.At.Line, n.At.Column)
	switch n.Kind {
	case Null:
		b.WriteString("null")
	case Text:
		fmt.Fprintf(&b, "%q", n.Text)
	case List:
		b.WriteString("[")
		for _, item := range n.Items {
			b.WriteString(show(item) + ";")
		}
		b.WriteString("]")
	case Map:
		b.WriteString("{")
		for _, f := range n.Fields {
			fmt.Fprintf(&b, "%s=%s;", f.Name, show(f.Value))
		}
		b.WriteString("}")
	default:
		b.WriteString(n.Text)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ file, in, want string }{
		{"a.yaml", "", "1:1 {}"},
		{"a.yaml", "# nothing\n", "1:1 {}"},
		{"a.yaml", "---\n", "1:1 {}"},
		{"a.yml", "a: 1\nb:\n  - x\n  - {c: \"1\"}\n", `1:1 {a=1:4 1;b=3:3 [3:5 "x";4:5 {c=4:9 "1";};];}`},
		{"a.yaml", "a: true\nb: no\nc: ~\nd:\ne: 1.10\n",
			`1:1 {a=1:4 true;b=2:4 "no";c=3:4 null;d=4:3 null;e=5:4 1.10;}`},
		{"a.yaml", "é: x\n\"<<\": 2024-01-01\n", `1:1 {é=1:4 "x";<<=2:7 "2024-01-01";}`},
		{"a.yaml", "a: |\n  x\n  y\n", `1:1 {a=1:4 "x\ny\n";}`},
		{"a.json", "{\"a\": 1,\n \"é\": [null, true, \"\\ud83d\\ude00\"]}",
			`1:1 {a=1:7 1;é=2:7 [2:8 null;2:14 true;2:20 "😀";];}`},
		{"a.json", ` {"a":{"b":{}}, "c" : 1e3 }`, `1:2 {a=1:7 {b=1:12 {};};c=1:23 1e3;}`},
	} {
		n, err := Parse(c.file, []byte(c.in))
		if err != nil || show(n) != c.want {
			t.Errorf("%s %q:\n got %s, %v\nwant %s", c.file, c.in, show(n), err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ file, in, want string }{
		{"a.yaml", "a: &x 1\nb: *x\n", "a.yaml:1:4: a: anchors"},
		{"a.yaml", "a: &x 1\nb: *x\n", "a.yaml:2:4: b: anchors"},
		{"a.yaml", "&k a: 1", "a.yaml:1:1: anchors"},
		{"a.yaml", "a: *x\n", "a.yaml: anchors"},
		{"a.yaml", "a: {b: 1}\nc:\n  <<: {d: 1}\n", "a.yaml:3:3: c: merge keys"},
		{"a.yaml", "a: <<\n", "a.yaml:1:4: a: merge keys"},
		{"a.yaml", "a: !!str 1\n", "a.yaml:1:4: a: tags (!!str)"},
		{"a.yaml", "a: !x {}\n", "a.yaml:1:4: a: tags (!x)"},
		{"a.yaml", "!!str a: 1\n", "a.yaml:1:1: tags"},
		{"a.yaml", "a: !!binary aGk=\n", "a.yaml:1:4: a: tags"},
		{"a.yaml", "a: 1\n---\nb: 2\n", "a.yaml:2:1: is a second document"},
		{"a.yaml", "a: 1\nb: 2\na: 3\n", "a.yaml:3:1: a: is here twice; first in line 1"},
		{"a.yaml", "a:\n  b: 1\n  \"b\": 1\n", "a.yaml:3:3: a.b: is here twice; first in line 2"},
		{"a.yaml", "? [a]\n: 1\n", "a.yaml:1:3: a name is text"},
		{"a.yaml", "~: 1\n", "a.yaml:1:1: a name is missing"},
		{"a.yaml", "a: [1\nb: 2", "a.yaml:1: did not find"},
		{"a.yaml", "a: b: c\n", "mapping values are not allowed"},
		{"a.yaml", "a: \"x\\0y\"\n", "a.yaml:1:4: a: holds NUL"},
		{"a.yaml", "a: x\x00\n", "a.yaml:1:5: holds the control character U+0000"},
		{"a.yaml", "a: 1\nb: \x1b[2J\n", "a.yaml:2:4: holds the control character U+001B"},
		{"a.yaml", "\xef\xbb\xbfa: 1\n", "a.yaml:1:1: begins with a byte order mark"},
		{"a.yaml", "\xff\xfea\x00", "a.yaml:1:1: begins with a byte order mark"},
		{"a.yaml", "a: x\ufeff\n", "a.yaml:1:5: holds a byte order mark"},
		{"a.yaml", "a: ä\xff\n", "a.yaml:1:5: is not UTF-8"},
		{"a.yaml", "a: x\u2028b: 1\n", "a.yaml:1:5: holds the line break U+2028"},
		{"a.yaml", strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested deeper than 64"},
		{"a.yaml", strings.Repeat("[", 20000), "max depth"},
		{"a.yaml", strings.Repeat("#", MaxBytes+1), "has 262145 bytes; 262144 are possible"},
		{"a.toml", "a = 1", "has to end in .yaml, .yml or .json"},
		{"a.json", "", "a.json:1:1: is no JSON: unexpected end"},
		{"a.json", "{\"a\": 1,}", "a.json:1:9: is no JSON"},
		{"a.json", "{\n  \"a\": tru\n}", "a.json:2:11: is no JSON"},
		{"a.json", "{} {}", "a.json:1:4: is no JSON"},
		{"a.json", "{\"a\": 1,\n \"a\": 2}", "a.json:2:2: a: is here twice; first in line 1"},
		{"a.json", `{"a": "\ud800"}`, `a.json:1:7: a: holds half of a surrogate pair (\ud800)`},
		{"a.json", `{"\udc00": 1}`, `a.json:1:2: holds half`},
		{"a.json", `{"a": "\u0000"}`, "a.json:1:7: a: holds NUL"},
		{"a.json", strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65), "nested deeper than 64"},
		{"a.json", strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999), "nested deeper than 64"},
	} {
		n, err := Parse(c.file, []byte(c.in))
		var ps Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.40q: %s, %v\nwant %s", c.file, c.in, show(n), err, c.want)
		}
		for _, p := range ps {
			if p.File == "" && !strings.HasSuffix(p.Text, " more") {
				t.Errorf("%s %.40q: no file in %v", c.file, c.in, p)
			}
		}
	}
}

// TestParseTellsAll holds that the first problem does not hide the others.
func TestParseTellsAll(t *testing.T) {
	_, err := Parse("a.yaml", []byte("a: &x 1\nb: !t 2\nb: 3\nc: {d: 1, d: 2}\n"))
	if ps, ok := err.(Problems); !ok || len(ps) != 4 {
		t.Errorf("want four problems, got:\n%v", err)
	}
	_, err = Parse("a.yaml", []byte(strings.Repeat("a: 1\n", 1000)))
	if ps, ok := err.(Problems); !ok || len(ps) != MaxProblems+1 || ps[MaxProblems].Text != "and 949 more" {
		t.Errorf("want %d problems and a count, got:\n%v", MaxProblems, err)
	}
}

// TestParseIsQuick holds that no file of the greatest size takes long. What takes longest of those tried is
// 0.2 s.
func TestParseIsQuick(t *testing.T) {
	for name, in := range map[string]string{
		"a.yaml flow": strings.Repeat("- "+strings.Repeat("[", 10000)+strings.Repeat("]", 10000)+"\n", 13),
		"a.yaml deep": strings.Repeat("[", 9999) + strings.Repeat("1,", 120000) + strings.Repeat("]", 9999),
		"a.yaml maps": strings.Repeat("{a,b: ", 9999) + "[1" + strings.Repeat(",1", 90000) + "]" +
			strings.Repeat("}", 9999),
		"a.yaml comments": strings.Repeat("a: 1 #x\n#y\n", MaxBytes/12),
		"b.json keys":     "{" + strings.Repeat(`"a":1,`, MaxBytes/6-1) + `"a":1}`,
		"b.json lists": strings.Repeat("[", 5000) + strings.Repeat("1,", 100000) + "1" +
			strings.Repeat("]", 5000),
	} {
		file, _, _ := strings.Cut(name, " ")
		began := time.Now()
		Parse(file, []byte(in))
		if took := time.Since(began); took > 20*time.Second {
			ci.Latef(t, "%s: %v", name, took)
		}
	}
}

func TestMerge(t *testing.T) {
	parse := func(s string) *Node {
		n, err := Parse("a.yaml", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct{ low, high, want string }{
		{"a: 1", "b: 2", "{a: 1, b: 2}"},
		{"a: 1", "a: 2", "a: 2"},
		{"a: {x: 1, y: 2}", "a: {y: 3, z: 4}", "a: {x: 1, y: 3, z: 4}"},
		{"a: [1, 2]", "a: [3]", "a: [3]"},
		{"a: {x: 1, y: 2}", "a: {x: null}", "a: {y: 2}"},
		{"a: {x: 1}", "a: null", "{}"},
		{"a: 1", "a: {x: null, y: 1}", "a: {y: 1}"},
		{"", "a: {x: {y: null}}", "a: {x: {}}"},
	} {
		low, high := parse(c.low), parse(c.high)
		before := show(low) + show(high)
		if got, want := stripped(Merge(low, high)), stripped(parse(c.want)); got != want {
			t.Errorf("%s + %s: got %s, want %s", c.low, c.high, got, want)
		}
		if show(low)+show(high) != before {
			t.Errorf("%s + %s: what was merged has changed", c.low, c.high)
		}
	}
}

// stripped is show without places.
func stripped(n *Node) string {
	var strip func(n *Node) *Node
	strip = func(n *Node) *Node {
		out := &Node{Kind: n.Kind, Text: n.Text}
		for _, item := range n.Items {
			out.Items = append(out.Items, strip(item))
		}
		for _, f := range n.Fields {
			out.Fields = append(out.Fields, Field{Name: f.Name, Value: strip(f.Value)})
		}
		return out
	}
	return show(strip(n))
}

func TestPath(t *testing.T) {
	for s, want := range map[string]Path{
		"a":                {"a"},
		"limits.max-1_é":   {"limits", "max-1_é"},
		`prices."green.t"`: {"prices", "green.t"},
		`"".a`:             {"", "a"},
	} {
		got, err := ParsePath(s)
		if err != nil || !reflect.DeepEqual(got, want) || got.String() != s {
			t.Errorf("%s: %q %v, written %s", s, got, err, got)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a b", `"a`, `"a"b`, "a..b", "a[0]"} {
		if p, err := ParsePath(s); err == nil {
			t.Errorf("%q was taken for %q", s, p)
		}
	}
	if got := (Path{"a"}).Index(2).With("b").String(); got != "a[2].b" {
		t.Error(got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"banner", "prices", "max", "maxItems"}
	for in, want := range map[string]string{
		"baner": "banner", "Banner": "banner", "pircse": "prices", "maxitems": "maxItems", "min": "", "x": "",
		"colour": "", "price": "prices", strings.Repeat("b", 10000): "",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("%.20s: got %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1\nb: [x, {c: d}]\n", "a: &x 1\nb: *x", "{\"a\": [1, null, \"\\ud800\"]}",
		"? - a\n: b\n", "%YAML 1.1\n---\na"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range []string{"a.yaml", "a.json"} {
			n, err := Parse(file, b)
			if err == nil && n == nil {
				t.Fatal("neither a tree nor a problem")
			}
			if err == nil {
				Merge(n, n)
			}
		}
	})
}
