package cluster

import (
	"errors"
	"strings"
	"testing"
)

// An application cannot take the nodes' own connections from them, nor its own from itself.
func TestListener_Names(t *testing.T) {
	t.Parallel()
	n := openTest(t, Config{Name: "n1"})
	panics := func(proto, why string) {
		t.Helper()
		defer func() {
			if s, _ := recover().(string); !strings.Contains(s, why) {
				t.Errorf("Listener(%.20q): panic %q; want one that says %q", proto, s, why)
			}
		}()
		n.Listener(proto)
	}
	for _, proto := range []string{"", "admin", "gossip", "raft", "rpc", strings.Repeat("x", 300)} {
		panics(proto, "1 to 200 bytes")
		if _, err := n.Dial(t.Context(), n.ID(), proto); !errors.Is(err, errProtocol) {
			t.Errorf("Dial(%.20q): %v", proto, err)
		}
	}
	l := n.Listener("app")
	panics("app", "somebody listens already")
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	n.Listener("app").Close()
}

func TestOpen_NoFactory(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Machines: map[string]func() StateMachine{"kv": nil}})
	if err == nil || !strings.Contains(err.Error(), `Machines["kv"] is nil`) {
		t.Error(err)
	}
}
