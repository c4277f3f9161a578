package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const finch = "finch-5d1"

func TestNothingShows(t *testing.T) {
	type holder struct {
		A Secret
		B *Secret
		m map[string]Secret
		p any
	}
	s := of(value{text: finch, fingerprint: "0123456789abcdef"})
	h := holder{s, &s, map[string]Secret{"x": s}, s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, h, &h, []Secret{s}, []any{h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		b, err := json.Marshal(v)
		y, err2 := yaml.Marshal(v)
		if err = errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, y...))
		func() {
			defer func() { fmt.Fprintln(&out, recover()) }()
			panic(v)
		}()
	}
	if strings.Contains(out.String(), finch) || strings.Contains(out.String(), fmt.Sprintf("%x", finch)) ||
		!strings.Contains(out.String(), "secret 0123456789abcdef") {
		t.Error(out.String())
	}
}

func TestSecret(t *testing.T) {
	s, same, other := New("a"), of(value{text: "a", fingerprint: "f"}), New("b")
	sealed := Unread("f")
	for i, c := range []struct {
		a, b Secret
		want bool
	}{{s, same, true}, {s, other, false}, {s, Secret{}, false}, {Secret{}, Secret{}, true}, {sealed, same, true},
		{sealed, s, false}, {sealed, Unread("g"), false}, {Unread(""), Unread(""), false}} {
		if c.a.Same(c.b) != c.want || c.b.Same(c.a) != c.want {
			t.Errorf("%d: %v and %v", i, c.a, c.b)
		}
	}
	if s.Reveal() != "a" || (Secret{}).Reveal() != "" || !(Secret{}).IsZero() || s.IsZero() || sealed.IsZero() ||
		sealed.Fingerprint() != "f" || (Secret{}).Fingerprint() != "" || fmt.Sprint(s, Secret{}) != "secret no secret" {
		t.Errorf("%v %v", s, sealed)
	}
	defer func() {
		err, _ := recover().(error)
		if u := (UnreadError{}); !errors.As(err, &u) || u.Fingerprint != "f" || err.Error() == "" {
			t.Errorf("revealed what is sealed: %v", err)
		}
	}()
	_ = sealed.Reveal()
}

func TestTokens(t *testing.T) {
	token := writeToken("0123456789abcdef", []byte{1, 2, 3})
	if fp, b, err := readToken(token); err != nil || fp != "0123456789abcdef" || !bytes.Equal(b, []byte{1, 2, 3}) {
		t.Error(token, fp, b, err)
	}
	for _, bad := range []string{"", "s1", "s1.", "s2" + token[2:], strings.ToUpper(token), token + "=", token[:18],
		token + ".", token + "\n", " " + token, "s1.0123.AQID", "s1.0123456789abcdef.AQI!"} {
		if _, _, err := readToken(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(writeToken("0123456789abcdef", []byte{1, 2, 3}))
	f.Fuzz(func(t *testing.T, token string) {
		if fp, b, err := readToken(token); err == nil && writeToken(fp, b) != token {
			t.Errorf("%q is another token than it reads as", token)
		}
	})
}

func TestOuter(t *testing.T) {
	a, b := newOuter(strings.Repeat("a", 32)), newOuter(strings.Repeat("b", 32))
	sealed, again := a.seal([]byte(finch), []byte("x")), a.seal([]byte(finch), []byte("x"))
	if bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte(finch)) || !a.made(sealed) || b.made(sealed) ||
		b.made(nil) {
		t.Errorf("%x %x", sealed, again)
	}
	if got, err := a.open(sealed, []byte("x")); err != nil || string(got) != finch {
		t.Error(got, err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if got, err := a.open(bad, []byte("x")); i > tagSize && err == nil {
			t.Errorf("byte %d changed: %q", i, got)
		}
	}
	if _, err := a.open(sealed, []byte("y")); err == nil {
		t.Error("opened with other additional data")
	}
}
