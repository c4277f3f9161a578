package cluster

import (
	"os"
	"strings"
	"testing"
)

// The only node of a farm loses its log. It does not found the farm anew with an empty state, whether its
// Join names others or not. It says what is missing and what to do.
func TestLoneFarmWithoutLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		join []string
	}{{"alone", nil}, {"with Join", []string{"127.0.0.1:9"}}} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Dir: t.TempDir(), Expect: 1, Listen: "127.0.0.1:0",
				Machines: map[string]func() StateMachine{"kv": newKV},
				Logger:   testLogger()}
			n, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			ready(t, n)
			propose(t, n, "set k v")
			log := n.dir.Path(logDir)
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			away := t.TempDir() + "/raft"
			if err := os.Rename(log, away); err != nil {
				t.Fatal(err)
			}
			c.Join = tt.join
			for range 2 { // the first start did not make a new one either
				n, err := Open(t.Context(), c)
				if err == nil {
					n.Close()
					t.Fatal("it was opened")
				}
				for _, part := range []string{log, "is missing", "restore a backup"} {
					if !damaging(err) || !strings.Contains(err.Error(), part) {
						t.Errorf("%v does not say %q", err, part)
					}
				}
			}
			if err := os.RemoveAll(log); err != nil { // a start leaves an empty one
				t.Fatal(err)
			}
			if err := os.Rename(away, log); err != nil {
				t.Fatal(err)
			}
			n = openTest(t, c)
			ready(t, n)
			if v := local(n, "k"); v != "v" {
				t.Errorf("k is %q", v)
			}
		})
	}
}
