package farm

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// lines is an answer of lines of JSON, each sent as soon as it is written. It may be used by many goroutines.
type lines struct {
	mu  sync.Mutex
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// newLines begins an answer of lines.
func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	l := &lines{w: w, ctl: http.NewResponseController(w)}
	l.ctl.Flush() // the header at once: whoever asks knows that somebody is at work
	return l
}

// lineTime is how long whoever asked may take for a line.
const lineTime = 10 * time.Second

// write sends v as a line. What cannot be sent is lost: nobody is there to read it.
func (l *lines) write(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctl.SetWriteDeadline(time.Now().Add(lineTime))
	defer l.ctl.SetWriteDeadline(time.Time{})
	if json.NewEncoder(l.w).Encode(v) == nil {
		l.ctl.Flush()
	}
}
