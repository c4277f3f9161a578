// Package linger parts gently with a client whose upload is not wanted to its end. A server that closes a connection on which
// more is coming in resets it, and the reset may reach the client before it has read the answer. net/http's server therefore
// waits for a moment between the answer and the close, but only where it knows of the body that was left: not if the
// client has sent "Expect: 100-continue" or "Connection: close". http.MaxBytesReader tells it, through its own ResponseWriter alone.
package linger

import (
	"io"
	"net/http"
)

// Close has the server close the connection behind the answer, whose header has not been sent yet, and wait for a moment before it
// does. It finds the server's own ResponseWriter behind those that have an Unwrap method, as http.ResponseController
// wants it. With any other the connection is closed all the same. It is for HTTP/1.
func Close(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	for {
		tell(w)
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = outer.Unwrap()
	}
}

// tell has http.MaxBytesReader tell w that a body is too long: there is no other way to say so.
func tell(w http.ResponseWriter) {
	var one [1]byte
	http.MaxBytesReader(w, io.NopCloser(endless{}), 0).Read(one[:])
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
