package lane

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

// Bodies of up to 64 KiB are kept while there is memory, which comes back; shorter ones always, longer ones and
// those of unknown length never.
func TestMemory(t *testing.T) {
	m := NewMemory(100 << 10)
	keep := func(size int) *Upload {
		t.Helper()
		u := m.Upload(httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", size))))
		if !u.Kept() {
			return nil
		}
		if b, err := io.ReadAll(u.Reader()); len(b) != size || err != nil {
			t.Errorf("%d bytes of %d: %v", len(b), size, err)
		}
		if b, _ := io.ReadAll(u.Reader()); len(b) != size || !u.Whole() {
			t.Errorf("%d bytes of %d the second time", len(b), size)
		}
		return u
	}
	first := keep(64 << 10)
	if first == nil || keep(64<<10+1) != nil {
		t.Error("a body of 64 KiB is not kept, or a longer one is")
	}
	if keep(36<<10+1) != nil {
		t.Error("more is kept than there is memory")
	}
	second := keep(36 << 10)
	if second == nil || keep(16<<10) == nil {
		t.Error("what there is memory for is not kept")
	}
	if keep(16<<10+1) != nil {
		t.Error("more is kept than there is memory")
	}
	first.Release()
	first.Release() // again
	if third := keep(64 << 10); third == nil || keep(17<<10) != nil {
		t.Error("memory has not come back, or twice")
	} else {
		third.Release()
	}
	second.Release()
	changed := httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 20<<10)))
	third := m.Upload(changed)
	changed.ContentLength = 1 // as a handler may have it
	third.Release()
	if left := m.left.Load(); left != 100<<10 {
		t.Errorf("%d bytes are left", left)
	}
	req := httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 20<<10)))
	req.Header.Set("Expect", "100-continue")
	if m.Upload(req).Kept() {
		t.Error("a body was read that the client has not sent yet")
	}
}
