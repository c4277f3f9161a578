package farm

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestUnstored: no cache is told to keep an answer, also none that has a header of its own.
func TestUnstored(t *testing.T) {
	w := httptest.NewRecorder()
	u := &unstored{ResponseWriter: w}
	for _, name := range []string{"Cache-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control",
		"X-Accel-Expires", "Expires", "ETag", "Last-Modified"} {
		u.Header().Set(name, "max-age=60")
	}
	u.Header().Set("X-Other", "1")
	u.WriteHeader(http.StatusOK)
	if h := w.Result().Header; len(h) != 2 || h.Get("Cache-Control") != "no-store" || h.Get("X-Other") != "1" {
		t.Errorf("%v", h)
	}
}
