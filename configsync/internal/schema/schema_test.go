package schema

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

type limits struct {
	Max   int8          `json:"max"`
	Rate  float64       `json:"rate"`
	Wait  time.Duration `json:"wait"`
	Count uint16
}

func (l limits) Validate() error {
	if l.Max < 0 {
		return errors.Join(errors.New("max is below zero"), errors.New("and that is bad"))
	}
	if l.Max == 66 {
		panic("order")
	}
	return nil
}

type common struct {
	Banner string
	Debug  bool
}

type site struct {
	common
	Prices map[string]int
	Limits limits `reload:"restart"`
	Extra  *limits
	Nets   []netip.Prefix
	Level  slog.Level
	Since  time.Time
	Shops  map[string]limits
	Kids   []site `json:"kids"`
	HTTPPort,
	URL string
	Skipped chan int `json:"-"`
}

func siteType(t *testing.T) *Type {
	t.Helper()
	s, err := Of(reflect.TypeFor[site](), "paths")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t *testing.T, s string) *tree.Node {
	t.Helper()
	n, err := tree.Parse("a.yaml", []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDecode(t *testing.T) {
	typ := siteType(t)
	n := parse(t, `
banner: Hello
debug: true
prices: {tea: 3, gone: null, 100: 4}
limits: {max: -128, rate: 2.5e3, wait: 1m30s, count: 65535}
extra: {max: 1}
nets: [10.0.0.0/8, "::1/128"]
level: WARN
since: 2026-01-02T03:04:05Z
kids: [{banner: "1.10"}]
httpPort: "80"
url: no
`)
	var got site
	if ps := typ.Decode(n, reflect.ValueOf(&got).Elem()); len(ps) > 0 {
		t.Fatal(ps)
	}
	want := site{
		common: common{"Hello", true}, Prices: map[string]int{"tea": 3, "100": 4},
		Limits: limits{-128, 2500, 90 * time.Second, 65535}, Extra: &limits{Max: 1},
		Nets:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Level: slog.LevelWarn, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Kids: []site{{common: common{Banner: "1.10"}}}, HTTPPort: "80", URL: "no",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	back, err := typ.Encode(reflect.ValueOf(want))
	if err != nil {
		t.Fatal(err)
	}
	var again site
	if ps := typ.Decode(back, reflect.ValueOf(&again).Elem()); len(ps) > 0 || !reflect.DeepEqual(again, want) {
		t.Errorf("encoded and decoded: %+v, %v", again, ps)
	}
}

func TestCheckRefuses(t *testing.T) {
	typ := siteType(t)
	for in, want := range map[string]string{
		"baner: x":                            "a.yaml:1:1: baner: unknown field; did you mean banner?",
		"Banner: x":                           "did you mean banner?",
		"zzz: 1":                              "unknown field; there are: banner, debug, prices",
		"limits: {mx: 1}":                     "a.yaml:1:10: limits.mx: unknown field; did you mean max?",
		"limits: [1]":                         "limits: is a list; it takes a map",
		"limits: {max: 128}":                  "a.yaml:1:15: limits.max: 128 does not fit: it takes -128 to 127",
		"limits: {count: 65536":               "",
		"limits: {count: -1}":                 "-1 does not fit: it takes 0 to 65535",
		"limits: {max: 1.0}":                  "is the number 1.0; it takes a whole number, in decimal",
		"limits: {max: 1e1}":                  "whole number",
		"limits: {max: 010}":                  "the number 010",
		"limits: {max: 0x1F}":                 "the number 0x1F",
		"limits: {max: 1_000}":                "the number 1_000",
		"limits: {max: +1}":                   "the number +1",
		"limits: {max: '1'}":                  `the text "1"`,
		"limits: {max: 99999999999999999999}": "does not fit",
		"limits: {rate: .inf}":                "the number .inf",
		"limits: {rate: .5}":                  "the number .5",
		"limits: {rate: 1e999}":               "",
		"limits: {wait: 90}":                  "is the number 90; it takes a length of time, such as 90s",
		"limits: {wait: 1 hour}":              `is the text "1 hour"`,
		"debug: yes":                          `is the text "yes"; it takes true or false`,
		"debug: on":                           `is the text "on"`,
		"debug: True":                         "is the value True",
		"debug: 1":                            "is the number 1",
		"banner:": "banner: has no value; it takes text. To leave it as it is, " +
			"leave the line out",
		"banner: 1.10":             `is the number 1.10; it takes text: write it in quotes, "1.10"`,
		"banner: true":             "is the value true; it takes text",
		"banner: [a]":              "is a list; it takes text",
		"prices: {tea: cheap}":     `prices.tea: is the text "cheap"`,
		"prices: [1]":              "prices: is a list; it takes a map",
		"nets: 10.0.0.0/8":         "is the text \"10.0.0.0/8\"; it takes a list",
		"nets: [10.0.0.0/33]":      "a.yaml:1:8: nets[0]: netip.ParsePrefix",
		"level: LOUD":              "level: slog: level string \"LOUD\"",
		"skipped: 1":               "skipped: unknown field",
		"limits:":                  "limits: has no value; it takes a map",
		"[1]":                      "a.yaml:1:1: is a list; it takes a map",
		"shops: {\"a.b\": {x: 1}}": `shops."a.b".x: unknown field`,
	} {
		n, err := tree.Parse("a.yaml", []byte(in))
		if err != nil {
			continue
		}
		ps := typ.Check(n)
		if len(ps) == 0 || want != "" && !strings.Contains(ps.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", in, ps, want)
		}
	}
	ok := "prices: {tea: null}\nextra:\nnets: null\nlimits: {max: -0, count: -0, rate: -0}\n"
	if ps := typ.Check(parse(t, ok)); len(ps) != 0 {
		t.Errorf("%s: %v", ok, ps)
	}
}

type hides struct {
	Key  secret.Secret
	Keys map[string]struct{ Pass *secret.Secret }
	Pay  struct {
		Token secret.Secret
		Note  string
	}
}

// Validate asks for the token if there is one.
func (h hides) Validate() error {
	if !h.Pay.Token.IsZero() && !strings.HasPrefix(h.Pay.Token.Reveal(), "sk_") {
		return errors.New("the token has to begin with sk_")
	}
	return nil
}

func TestUnseal(t *testing.T) {
	typ, err := Of(reflect.TypeFor[hides]())
	if err != nil {
		t.Fatal(err)
	}
	open := func(at secret.Place, token string) (secret.Secret, error) {
		if token != at.Config+" "+at.Field {
			return secret.Secret{}, errors.New("was sealed for another field")
		}
		return secret.New("sk_" + token), nil
	}
	whole := "key: {$secret: site key}\nkeys: {a.b: {pass: {$secret: 'site keys.\"a.b\".pass'}}, c: {pass: null}}\n" +
		"pay: {token: null}\n"
	n, ps := typ.Unseal(parse(t, whole), "site", secret.Opener{Open: open})
	var v hides
	if ps = append(ps, typ.Decode(n, reflect.ValueOf(&v).Elem())...); len(ps) > 0 {
		t.Fatal(ps)
	}
	if v.Key.Reveal() != "sk_site key" || v.Keys["a.b"].Pass.Reveal() != `sk_site keys."a.b".pass` ||
		v.Keys["c"].Pass != nil || !v.Pay.Token.IsZero() {
		t.Errorf("%+v", v)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", v, &v, n, n); strings.Contains(s, "sk_") {
		t.Error(s)
	}
	plain := secret.Opener{Open: open, Plain: true}
	for in, want := range map[string]string{
		"key: sk_1":                 "a.yaml:1:6: key: is a secret in plain text",
		"key: [sk_1]":               "key: is a secret in plain text",
		"pay: {token: 3}":           "set it by farmctl config secret site pay.token",
		"key: {$secret: site pay}":  "a.yaml:1:16: key: was sealed for another field",
		"key: {$secret: 3}":         "plain text",
		"key: {$secret: a, b: c}":   "plain text",
		"pay: sk_1":                 "a.yaml:1:6: pay: is text; it takes a map",
		"keys: sk_1":                "keys: is text; it takes a map",
		"pay: {note: {$secret: x}}": "pay.note: is a map; it takes text",
	} {
		n, ps := typ.Unseal(parse(t, in), "site", secret.Opener{Open: open})
		ps = append(ps, typ.Check(n)...)
		if len(ps) != 1 || !strings.Contains(ps.Error(), want) || strings.Contains(ps.Error(), "sk_1") {
			t.Errorf("%s:\n got %v\nwant %s", in, ps, want)
		}
	}
	for in, want := range map[string]string{"key: sk_1": "", "key: 3": "is a number; it takes text, in quotes"} {
		n, ps := typ.Unseal(parse(t, in), "site", plain)
		if ps = append(ps, typ.Check(n)...); (len(ps) > 0) != (want != "") || !strings.Contains(ps.Error(), want) {
			t.Errorf("%s: %v, want %s", in, ps, want)
		}
	}
	if _, ps := typ.Unseal(parse(t, "key: {$secret: x}"), "site", secret.Opener{}); len(ps) != 1 {
		t.Errorf("without keys: %v", ps)
	}
}

func TestSecretsAreNoDefaults(t *testing.T) {
	typ, err := Of(reflect.TypeFor[hides]())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := typ.Encode(reflect.ValueOf(hides{})); err != nil || n.Get("key") != nil {
		t.Errorf("none: %v %v", n, err)
	}
	_, err = typ.Encode(reflect.ValueOf(hides{Key: secret.New("sk_1")}))
	if err == nil || !strings.Contains(err.Error(), "key: is a secret with a default") ||
		strings.Contains(err.Error(), "sk_1") {
		t.Error(err)
	}
	for in, want := range map[string]Info{"key": {Secret: true}, "keys": {}, "keys.a.pass": {Secret: true},
		"pay": {}, "pay.token": {Secret: true}} {
		p, _ := tree.ParsePath(in)
		if got, err := typ.Look(p); err != nil || got != want {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
}

func TestValidateWhatIsSealed(t *testing.T) {
	typ, _ := Of(reflect.TypeFor[hides]())
	at := func(tree.Path) tree.Pos { return tree.Pos{} }
	v := hides{}
	v.Pay.Token = secret.New("no")
	if ps := typ.Validate(reflect.ValueOf(&v).Elem(), at); len(ps) != 1 {
		t.Errorf("wrong: %v", ps)
	}
	v.Pay.Token = secret.Unread("0123456789abcdef")
	if ps := typ.Validate(reflect.ValueOf(&v).Elem(), at); len(ps) != 0 {
		t.Errorf("sealed: %v", ps)
	}
}

func TestCheckTellsAll(t *testing.T) {
	ps := siteType(t).Check(parse(t, "baner: x\nlimits: {mx: 1, max: a}\nprices: {a: b}\n"))
	if len(ps) != 4 {
		t.Errorf("want four problems, got:\n%v", ps)
	}
}

func TestOfRefuses(t *testing.T) {
	type inner struct{ hidden int }
	_ = inner{hidden: 1}
	for want, v := range map[string]any{
		"is no struct":               1,
		"is no struct with":          time.Time{},
		"inner.hidden is not export": inner{},
		"F is a chan":                struct{ F chan int }{},
		"F is a interface":           struct{ F any }{},
		"F is a slice of bytes":      struct{ F []byte }{},
		"F is a map whose keys":      struct{ F map[int]string }{},
		"A[][] is a func":            struct{ A [][]func() }{},
		"F is a pointer to map":      struct{ F *map[string]int }{},
		"option string": struct {
			F int `json:",string"`
		}{},
		`reload:"never"`: struct {
			F int `reload:"never"`
		}{},
		"F has the tag secret": struct {
			F int `secret:"true"`
		}{},
		"secrets in the list b.c": struct {
			B struct{ C []map[string]secret.Secret }
		}{},
		`has the name "b" in files`: struct {
			A int `json:"b"`
			B int
		}{},
		`has a field "paths"`:  struct{ Paths []string }{},
		"reads JSON by itself": struct{ F jsonOnlyType }{},
	} {
		if _, err := Of(reflect.TypeOf(v), "paths"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %s", v, err, want)
		}
	}
}

type jsonOnlyType struct{}

func (*jsonOnlyType) UnmarshalJSON([]byte) error { return nil }

func TestEncodeRefuses(t *testing.T) {
	nan := 0.0
	for want, v := range map[string]any{
		"F: NaN is no number":   struct{ F float64 }{nan / nan},
		"F: a: is nil":          struct{ F map[string][]int }{map[string][]int{"a": nil}},
		"F: MarshalText panick": struct{ F angry }{1},
		"another value":         struct{ F forgets }{"x"},
	} {
		typ, err := Of(reflect.TypeOf(v))
		if err == nil {
			_, err = typ.Encode(reflect.ValueOf(v))
		}
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%T: %v, want %s", v, err, want)
		}
	}
}

type angry int

func (a angry) MarshalText() ([]byte, error)  { panic(fmt.Sprint(int(a))) }
func (a *angry) UnmarshalText(b []byte) error { panic(string(b)) }

type forgets string

func (f forgets) MarshalText() ([]byte, error)  { return []byte(f), nil }
func (f *forgets) UnmarshalText(b []byte) error { *f = forgets(b) + "!"; return nil }

func TestUserCodeMayPanic(t *testing.T) {
	typ, err := Of(reflect.TypeFor[struct{ F angry }]())
	if err != nil {
		t.Fatal(err)
	}
	if ps := typ.Check(parse(t, "f: x")); len(ps) != 1 || !strings.Contains(ps.Error(),
		"UnmarshalText panicked: x") {
		t.Error(ps)
	}
}

func TestValidate(t *testing.T) {
	typ := siteType(t)
	v := site{Limits: limits{Max: -1}, Extra: &limits{Max: 66}, Shops: map[string]limits{"a b": {Max: -2}}}
	ps := typ.Validate(reflect.ValueOf(&v).Elem(), func(p tree.Path) tree.Pos {
		return tree.Pos{File: "f",
			Line: len(p)}
	})
	got := ps.Err().Error()
	for _, want := range []string{
		"f:1: limits: max is below zero", "f:1: limits: and that is bad", `f:2: shops."a b": max is below zero`,
		`f:1: extra: schema.limits.Validate panicked: "order"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if len(ps) != 5 {
		t.Errorf("%d problems", len(ps))
	}
}

func TestLook(t *testing.T) {
	typ := siteType(t)
	for in, want := range map[string]Info{
		"banner": {}, "limits": {Class: Restart}, "limits.max": {Class: Restart}, "extra.max": {},
		"shops.x.max": {}, "prices.tea": {}, "kids": {}, "nets": {},
	} {
		p, _ := tree.ParsePath(in)
		if got, err := typ.Look(p); err != nil || got != want {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"banner.x": "banner: is one value and has no field", "limits.mx": "limits.mx: unknown field; did you " +
			"mean max?",
		"kids.x": "is one value",
	} {
		p, _ := tree.ParsePath(in)
		if _, err := typ.Look(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
