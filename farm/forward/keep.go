package forward

import (
	"bytes"
	"maps"
	"net/http"
)

// maxKept is how much of an answer's body is kept. A longer answer is given to the client.
const maxKept = 64 << 10

// keeper keeps an answer back that may be no good, until it is known whether there is a better one. All other
// answers pass.
type keeper struct {
	http.ResponseWriter
	bad func(status int) bool // keep this one

	before http.Header  // of the response, without the answer
	status int          // of the answer that is kept; 0 = none
	header http.Header  // of that
	body   bytes.Buffer // of that
	passed bool         // an answer has gone to the client
}

func newKeeper(w http.ResponseWriter, bad func(int) bool) *keeper {
	return &keeper{ResponseWriter: w, bad: bad, before: maps.Clone(w.Header())}
}

func (k *keeper) WriteHeader(status int) {
	switch {
	case k.passed:
		k.ResponseWriter.WriteHeader(status) // the server has something to say about a second one
	case k.status != 0:
	case status >= 200 && k.bad(status):
		k.status = status
		k.header = maps.Clone(k.Header())
	default:
		k.passed = status >= 200 || status == http.StatusSwitchingProtocols
		k.ResponseWriter.WriteHeader(status)
	}
}

func (k *keeper) Write(p []byte) (int, error) {
	if k.status == 0 || k.passed {
		k.passed = true
		return k.ResponseWriter.Write(p)
	}
	if k.body.Len()+len(p) > maxKept {
		if err := k.release(); err != nil {
			return 0, err
		}
		return k.ResponseWriter.Write(p)
	}
	return k.body.Write(p)
}

// FlushError is what an http.ResponseController calls. Who flushes an answer means it.
func (k *keeper) FlushError() error {
	if err := k.release(); err != nil {
		return err
	}
	k.passed = true
	return http.NewResponseController(k.ResponseWriter).Flush()
}

// Flush is of http.Flusher.
func (k *keeper) Flush() { _ = k.FlushError() }

// Unwrap lets an http.ResponseController reach the server's own methods.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// keeps reports whether an answer is kept.
func (k *keeper) keeps() bool { return k != nil && k.status != 0 && !k.passed }

// release gives the answer that is kept to the client.
func (k *keeper) release() error {
	if !k.keeps() {
		return nil
	}
	k.passed = true
	h := k.Header()
	clear(h)
	maps.Copy(h, k.header)
	k.ResponseWriter.WriteHeader(k.status)
	_, err := k.ResponseWriter.Write(k.body.Bytes())
	k.body.Reset()
	return err
}

// aside takes the answer that is kept away from the response, whose header is then as it was before.
func (k *keeper) aside() {
	h := k.Header()
	clear(h)
	maps.Copy(h, k.before)
}
