//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package tcpio

import (
	"errors"
	"os"
	"testing"
	"time"
)

// A descriptor that somebody has made one that blocks holds up nobody.
func TestOf_Blocking(t *testing.T) {
	near, far := pair(t)
	f, err := near.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Fd() // which makes both block
	q := Of(near)
	near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := readOnce(q); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	near.SetReadDeadline(time.Time{})
	far.Write([]byte("x"))
	if n, err := readOnce(q); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}
