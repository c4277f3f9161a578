package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// A question or an answer that is over what a frame carries is refused, and does no harm to others on the
// connection.
// Slow: an answer is too large only beyond 16 MiB, which are written first.
func TestQueriesTooLarge(t *testing.T) {
	t.Parallel()
	inLab(t, 2, false, func(l *lab) {
		leader, others := l.leader()
		n := others[0]
		h := n.Handle("kv")
		before := n.peers.Live(leader.id)
		if _, err := h.Query(l.ctx(5*time.Second),
			make([]byte, wire.MaxFrame)); !errors.Is(err, ErrTooLarge) {
			l.t.Errorf("a question of %d bytes: %v, want ErrTooLarge", wire.MaxFrame, err)
		}
		for range wire.MaxFrame / (500 << 10) {
			leader.must("append big %s", strings.Repeat("x", 500<<10))
		}
		if err := n.propose(5*time.Second, "append big %s",
			strings.Repeat("x", 500<<10)); !errors.Is(err, ErrUncertain) {
			l.t.Errorf("a write with an answer of %d bytes: %v, want ErrUncertain", len(leader.get("big")),
				err)
		}
		if _, err := h.Query(l.ctx(5*time.Second), []byte("big")); !errors.Is(err, ErrTooLarge) {
			l.t.Errorf("an answer of %d bytes: %v, want ErrTooLarge", len(leader.get("big")), err)
		}
		if n.peers.Live(leader.id) != before {
			l.t.Error("the connection was given up")
		}
	})
}
