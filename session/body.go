package session

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/internal/linger"
)

// watchedBody is a request's body that notices how far it was read. http.MaxBytesReader has net/http close the connection when a
// client sends too much, but only through net/http's own ResponseWriter: behind any other, the server goes on
// reading what is left of the body before it sends a short answer, and a client that waits for that answer waits for ever.
type watchedBody struct {
	io.ReadCloser
	begun, ended atomic.Bool
}

// watchBody watches the body of a request that has one, over a protocol where an unread body is in the way of the answer.
func watchBody(r *http.Request) *watchedBody {
	if r.Body == nil || r.Body == http.NoBody || r.ProtoMajor != 1 {
		return nil
	}
	b := &watchedBody{ReadCloser: r.Body}
	r.Body = b
	return b
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

// closeIfLeft has the connection closed after an answer which says that the request failed, if the handler has given up
// reading the body: the rest is neither wanted nor waited for.
func (b *watchedBody) closeIfLeft(w http.ResponseWriter, code int) {
	if b != nil && code >= 400 && b.begun.Load() && !b.ended.Load() {
		linger.Close(w)
	}
}
