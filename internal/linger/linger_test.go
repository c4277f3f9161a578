package linger

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A writer that is not net/http's own says by its header at least that the connection ends, through others or not.
func TestClose_OtherWriters(t *testing.T) {
	for _, wrap := range []func(http.ResponseWriter) http.ResponseWriter{
		func(w http.ResponseWriter) http.ResponseWriter { return w },
		func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} },
		func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} },
	} {
		w := httptest.NewRecorder()
		Close(wrap(w))
		if got := w.Header().Get("Connection"); got != "close" || w.Body.Len() > 0 {
			t.Errorf("Connection: %q, and %q was written", got, w.Body)
		}
	}
}
