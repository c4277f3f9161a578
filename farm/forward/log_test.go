package forward

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// line returns the line with these words, "" if there is none.
func (l *logged) line(words string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, words) {
			return line
		}
	}
	return ""
}

// A line of the log says which nodes have had a request that the first one did not answer, how far each of them came,
// and the id that the client has.
func TestLog_Attempts(t *testing.T) {
	wires := &wires{}
	f := newFakeFarm(t)
	f.Wire = wires.add
	front := f.add("f", Config{Role: "front"}, never(t))
	refuses := f.add("a", Config{}, never(t)) // says that it is ready, and is not
	f.Change(func() { refuses.Tags[TagGate] = "ready" })
	f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/deadly" {
			wires.kill("b")
			<-r.Context().Done()
		}
	})).gate.Admit()
	front.gate.Admit()
	front.sees("a", "b")
	log := &logged{}
	front.gate.cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	refusedFirst := func() {
		for _, p := range *front.gate.hop.eligible.Load() {
			p.pick.Avoid(map[string]time.Duration{"b": time.Minute}[p.id])
		}
	}
	refusedFirst()
	res, _ := get(t, front.public.URL+"/fine")
	line := log.line("answered by a later peer")
	if !strings.Contains(line, `tried="A refused, B committed"`) || !strings.Contains(line, res.Header.Get(idHeader)) {
		t.Errorf("of %s: %q", res.Status, line)
	}
	refusedFirst()
	res, _ = fetch(t, request(t, "POST", front.public.URL+"/deadly", nil))
	line = log.line("not answered by the node")
	if res.StatusCode != http.StatusBadGateway || !strings.Contains(line, `tried="A refused, B sent"`) ||
		!strings.Contains(line, res.Header.Get(idHeader)) || !strings.Contains(line, "level=WARN") {
		t.Errorf("of %s: %q", res.Status, line)
	}
}
