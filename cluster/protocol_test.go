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

func TestOpen_BadConfig(t *testing.T) {
	t.Parallel()
	for words, c := range map[string]Config{
		`Machines["kv"] is nil`:            {Machines: map[string]func() StateMachine{"kv": nil}},
		`Name is "a\n"`:                    {Name: "a\n"},
		`Farm is "\xff"`:                   {Farm: "\xff"},
		"Role":                             {Role: "x"},
		"Expect is -1":                     {Expect: -1},
		`Levels["later"]: Machines has no`: {Machines: kvAnd(), Levels: laterLevels()},
		`Levels["kv"] is nil`:              {Machines: kvAnd(), Levels: map[string]func([]byte) int{"kv": nil}},
		`"kv" needs protocol level 99`: {Machines: kvAnd(), Levels: map[string]func([]byte) int{
			"kv": func([]byte) int { return 99 }}},
	} {
		n, err := Open(t.Context(), c)
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v; want an error that says %s", err, words)
		}
	}
}
