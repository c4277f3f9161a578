package farmtest

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
)

// journal keeps the last lines that the nodes logged, to show them when the test fails.
type journal struct {
	once sync.Once
	text slog.Handler

	mu    sync.Mutex
	lines [][]byte
}

const maxLines = 500

func (j *journal) handler() slog.Handler {
	j.once.Do(func() { j.text = slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelInfo}) })
	return j.text
}

// Write takes one line.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == maxLines {
		j.lines = j.lines[1:]
	}
	j.lines = append(j.lines, bytes.Clone(line))
	return len(line), nil
}

func (j *journal) show(t testing.TB) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t.Logf("farmtest: what the nodes logged last:\n%s", bytes.Join(j.lines, nil))
}
