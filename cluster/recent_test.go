package cluster

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// recently is what a node has said: the first lines and the last ones. It costs little, so every test keeps
// it and shows it if it fails: what fails once in a hundred times explains itself.
type recently struct {
	mu    sync.Mutex
	first []string // guarded by mu
	last  []string // a ring, from next on; guarded by mu
	next  int      // guarded by mu
	left  int      // lines that are in neither; guarded by mu
}

const (
	mostFirst = 100
	mostLast  = 300
)

// Write takes one line.
func (r *recently) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch line := string(p); {
	case len(r.first) < mostFirst:
		r.first = append(r.first, line)
	case len(r.last) < mostLast:
		r.last = append(r.last, line)
	default:
		r.last[r.next] = line
		r.next = (r.next + 1) % mostLast
		r.left++
	}
	return len(p), nil
}

func (r *recently) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var left string
	if r.left > 0 {
		left = fmt.Sprintf("[%d lines]\n", r.left)
	}
	return strings.Join(r.first, "") + left + strings.Join(r.last[r.next:], "") +
		strings.Join(r.last[:r.next], "")
}

// recentLogger keeps what a node says, at every level and with what raft and gossip say, and prints it when
// the test is over, if that has failed. Call it before the node is opened, so that its end is among it.
func recentLogger(t testing.TB, name string) *slog.Logger {
	r := &recently{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what node %q of this test said:\n%s", name, r)
		}
	})
	out := io.Writer(r)
	if os.Getenv("TESTLOG") != "" {
		out = io.MultiWriter(os.Stderr, r)
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestRecently(t *testing.T) {
	var r recently
	for i := range mostFirst + mostLast + 5 {
		fmt.Fprintln(&r, i)
	}
	lines := strings.Split(r.String(), "\n")
	if n := len(lines); n != mostFirst+1+mostLast+1 || lines[0] != "0" || lines[mostFirst] != "[5 lines]" ||
		lines[mostFirst+1] != fmt.Sprint(mostFirst+5) || lines[n-2] != fmt.Sprint(mostFirst+mostLast+4) {
		t.Errorf("%d lines: %.300q", n, lines)
	}
}
