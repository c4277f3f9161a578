package blob

import (
	"strings"
	"testing"
)

func TestParseHash(t *testing.T) {
	h := Sum([]byte("abc"))
	if got := h.String(); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" { // FIPS 180-2, B.1
		t.Fatal(got)
	}
	if back, err := ParseHash(h.String()); back != h || err != nil {
		t.Errorf("%v, %v", back, err)
	}
	for _, s := range []string{"", "ba", strings.ToUpper(h.String()), h.String() + "0", strings.Repeat("g", 64)} {
		if got, err := ParseHash(s); err == nil || !got.IsZero() {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}
