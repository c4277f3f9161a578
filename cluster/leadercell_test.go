package cluster

import (
	"context"
	"testing"
)

// Whoever waits for another leader is told of it, and of the end. After the end there is nothing to wait for.
func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	var c leaderCell
	if c.changes() != nil {
		t.Error("there is a channel before the first leader is known")
	}
	ctx, end := context.WithCancel(t.Context())
	c.set(ctx, "a")
	first := c.changes()
	c.set(ctx, "b")
	<-first
	second := c.changes()
	select {
	case <-second:
		t.Error("b is said to lead no more")
	default:
	}
	end()
	<-second
	if c.changes() != nil {
		t.Error("there is a channel behind the end, and closed: who waits would ask again and again")
	}
}
