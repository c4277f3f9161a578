package credential

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root = blob.Sum([]byte("manifest"))
)

// keyOf returns the same key for the same number.
func keyOf(n byte) *Key {
	return &Key{Farm: "shop", Name: "ci", NotAfter: noon.Add(90 * 24 * time.Hour),
		URLs:   []string{"https://www.example.com/publish"},
		secret: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))}
}

func orderOf() Order {
	epoch := uint64(7)
	return Order{Key: "k1", Made: noon.UnixMilli(), Root: root,
		Config:  FilesHash(map[string]string{"site.yaml": "a: 1\n"}),
		Program: "1.4.0", Who: "ann", Why: "prices <of> spring\nand more", Epoch: &epoch,
		Plan: Plan{Unreachable: "fence", Confirm: 10_000, Nodes: []string{"n1"}}}
}

func sign(t *testing.T, k *Key, o Order) Signed {
	t.Helper()
	s, err := k.Sign(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFile(t *testing.T) {
	k, err := NewKey("shop", "ci of the shop", noon.Add(time.Hour+time.Millisecond), "https://a.example/publish")
	if err != nil {
		t.Fatal(err)
	}
	text := k.Encode()
	for _, form := range [][]byte{text, text[bytes.Index(text, []byte("-----")):],
		bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), append([]byte("\n\n"), text...)} {
		if back, err := Parse(form); err != nil || !reflect.DeepEqual(back, k) {
			t.Errorf("%v, %+v", err, back)
		}
	}
	for name, wrong := range map[string]string{
		"":                 "",
		"has no line":      "secret",
		"begin with #":     "password\n" + string(text),
		"was all of it":    string(text[:len(text)-20]),
		"follows the":      string(text) + "more",
		"CERTIFICATE":      strings.ReplaceAll(string(text), blockType, "CERTIFICATE"),
		"the purpose":      strings.Replace(string(text), "Purpose: publish", "Purpose: join", 1),
		"the file was":     strings.Replace(string(text), "Id: ", "Id: 0", 1),
		"no time such":     strings.Replace(string(text), "Not-After: ", "Not-After: 1", 1),
		"does not know":    strings.Replace(string(text), "Purpose: ", "Scope: all\nPurpose: ", 1),
		"it is empty":      strings.Replace(string(text), "Farm: shop", "Farm:", 1),
		"not 32":           strings.Replace(string(text), "\n\n", "\n\nAAAA\n", 1),
		"more than 16384 ": strings.Repeat("#\n", maxFile),
	} {
		_, err := Parse([]byte(wrong))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", " a", "a\nPurpose: all", "a\tb", "\xff", "\x1b[2J",
		strings.Repeat("n", MaxName+1)} {
		if k, err := NewKey("shop", name, noon); err == nil {
			t.Errorf("%q makes %v", name, k)
		}
		if k, err := NewKey(name, "ci", noon); err == nil {
			t.Errorf("farm %q makes %v", name, k)
		}
	}
	if k, err := NewKey("shop", "ci", noon, "https://a b"); err == nil {
		t.Error(k)
	}
}

func TestRead(t *testing.T) {
	k := keyOf(1)
	path := filepath.Join(t.TempDir(), "ci.credential")
	for _, c := range []struct {
		mode os.FileMode
		want error
	}{{0o600, nil}, {0o400, nil}, {0o640, ErrMode}, {0o604, ErrMode}} {
		if runtime.GOOS == "windows" && c.want != nil {
			continue
		}
		os.Remove(path)
		if err := os.WriteFile(path, k.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, c.mode)
		back, err := Read(path)
		if !errors.Is(err, c.want) || err == nil && back.ID() != k.ID() {
			t.Errorf("%v: %v, %v", c.mode, back, err)
		}
		if c.want != nil && !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%v does not say what to do", err)
		}
	}
	if _, err := Read(filepath.Dir(path)); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	if _, err := Read(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestKeyIsNotPrinted: a key in a log line is a key lost.
func TestKeyIsNotPrinted(t *testing.T) {
	k := keyOf(1)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, k); got != "credential "+k.ID() {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func TestSeal(t *testing.T) {
	k := keyOf(1)
	for _, o := range []Order{orderOf(), {Key: "k", Plan: Plan{Nodes: []string{}}}} {
		s := sign(t, k, o)
		back, err := Open("shop", s.Seal)
		o.Farm = "shop"
		if len(o.Plan.Nodes) == 0 {
			o.Plan.Nodes = nil
		}
		if err != nil || !reflect.DeepEqual(back.Order, o) || back.By != k.Public() || len(back.Seal) > MaxSeal {
			t.Errorf("%v\n%+v\n%+v", err, back.Order, o)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	s := sign(t, keyOf(1), orderOf())
	if _, err := Open("shop2", s.Seal); !errors.Is(err, ErrFarm) || !strings.Contains(err.Error(), `"shop"`) {
		t.Error(err)
	}
	for i := range s.Seal {
		bad := bytes.Clone(s.Seal)
		bad[i] ^= 1
		if _, err := Open("shop", bad); err == nil {
			t.Fatalf("byte %d was changed, and it opens", i)
		}
		if _, err := Open("shop", s.Seal[:i]); err == nil {
			t.Fatalf("it opens when cut at %d", i)
		}
	}
	// Another's name on the order, another content in it.
	other := bytes.Clone(s.Seal)
	by := keyOf(2).Public()
	copy(other[1:], by[:])
	content := bytes.Replace(s.Seal, []byte(root.String()), []byte(blob.Sum(nil).String()), 1)
	for _, bad := range [][]byte{other, content} {
		if _, err := Open("shop", bad); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	}
	// What was signed for one purpose or farm has no signature for another.
	elsewhere := keyOf(1)
	elsewhere.Farm = "shop\x00x"
	if _, err := elsewhere.Sign(orderOf()); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

// TestOrderHasOneForm: what readers could understand differently is refused, also when it is signed.
func TestOrderHasOneForm(t *testing.T) {
	k := keyOf(1)
	for _, order := range []string{
		`{"farm":"shop","key":"a","made":0,"key":"b"}`, `{"farm":"shop","KEY":"a","made":0}`,
		`{"farm":"shop","key":"a","made":0,"new":1}`, `{"farm":"shop","key":"a","made":0} `,
		`{"farm":"shop","key":"a","made":0}{}`, `{"farm":"shop","key":"a","made":-1}`,
		`{"farm":"shop","key":"","made":0}`, `{"farm":"shop","key":"a","made":0,"plan":{}}`,
		`{"farm":"shop","key":"a","made":0,"plan":{"unreachable":"maybe"}}`, `null`, ``,
		`{"farm":"shop","key":"a","made":0,"root":"` + blob.Hash{}.String() + `"}`,
	} {
		by := k.Public()
		seal := append(append([]byte{1}, by[:]...), ed25519.Sign(k.secret, message("shop", []byte(order)))...)
		if s, err := Open("shop", append(seal, order...)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %+v", order, err, s.Order)
		}
	}
	for name, o := range map[string]Order{
		"long":    {Key: "k", Why: strings.Repeat("w", maxWhy+1)},
		"control": {Key: "k", Who: "\x1b"},
		"large":   {Key: "k", Plan: Plan{Nodes: strings.Split(strings.Repeat("node ", 700)+"n", " ")}},
		"hold":    {Key: "k", Hold: true, Plan: Plan{Dry: true}},
		"time":    {Key: "k", Plan: Plan{Wait: -1}},
	} {
		if _, err := k.Sign(o); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerify(t *testing.T) {
	k := keyOf(1)
	s := sign(t, k, orderOf())
	good := Record{Public: k.Public(), Name: "ci", NotAfter: noon.Add(time.Hour)}
	revoked := good
	revoked.Revoked, revoked.RevokedBy = noon, "bob"
	for name, c := range map[string]struct {
		r    *Record
		now  time.Time
		want error
		says string
	}{
		"good":    {&good, noon, nil, ""},
		"unknown": {nil, noon, ErrUnknown, k.ID()},
		"expired": {&good, good.NotAfter, ErrExpired, "2026-03-01 13:00 UTC"},
		"revoked": {&revoked, noon, ErrRevoked, "by bob"},
		"early":   {&good, noon.Add(-MaxAhead - time.Second), ErrClock, "set the publisher's clock"},
		"ahead":   {&good, noon.Add(-MaxAhead + time.Second), nil, ""},
	} {
		find := func(p Public) (Record, bool) {
			if c.r == nil || p != c.r.Public {
				return Record{}, false
			}
			return *c.r, true
		}
		back, _, err := Verify("shop", s.Seal, find, c.now)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) ||
			err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && back.Root != root {
			t.Errorf("%s: %+v", name, back)
		}
	}
	if err := s.CheckClock(noon.Add(MaxAge + time.Second)); !errors.Is(err, ErrClock) {
		t.Error(err)
	}
}

func TestFits(t *testing.T) {
	s := sign(t, keyOf(1), orderOf())
	files := map[string]string{"site.yaml": "a: 1\n"}
	if err := errors.Join(s.FitsContent(root), s.FitsConfig(files)); err != nil {
		t.Error(err)
	}
	for _, err := range []error{s.FitsContent(blob.Sum(nil)), s.FitsContent(blob.Hash{}), s.FitsConfig(nil),
		Order{}.FitsContent(blob.Hash{}), s.FitsConfig(map[string]string{"site.yaml": "a: 2\n"}),
		Order{}.FitsConfig(nil)} {
		if !errors.Is(err, ErrOrder) {
			t.Error(err)
		}
	}
	// What is in a path and what is in a text are not the same.
	if FilesHash(map[string]string{"ab": "c"}) == FilesHash(map[string]string{"a": "bc"}) {
		t.Error("two sets of files have one hash")
	}
}

func seeds(t *testing.T) map[string]map[string][]byte {
	return map[string]map[string][]byte{
		"FuzzParse": {"file": keyOf(1).Encode(), "plain": keyOf(2).block()},
		"FuzzOpen":  {"seal": sign(t, keyOf(1), orderOf()).Seal},
		"FuzzOrder": {"order": sign(t, keyOf(1), orderOf()).Seal[sealHead:]},
	}
}

func TestCorpus(t *testing.T) { corpus.Check(t, seeds(t)) }

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		var k *Key
		var err error
		corpus.Frugal(t, len(text), func() { k, err = Parse(text) })
		if err != nil {
			return
		}
		if back, err := Parse(k.Encode()); err != nil || !reflect.DeepEqual(back, k) {
			t.Fatalf("%v, %+v", err, k)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, seal []byte) {
		s, err := Open("shop", seal)
		if err == nil && (s.Farm != "shop" || !bytes.Equal(s.Seal, seal)) {
			t.Fatalf("%+v", s)
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var o Order
		var err error
		corpus.Frugal(t, len(b), func() { o, err = decodeOrder(b) })
		if err != nil {
			return
		}
		if back, err := o.encode(); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%v, %s", err, back)
		}
	})
}
