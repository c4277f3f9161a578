package cluster

import (
	"strings"
	"testing"
)

// A node that others can reach needs a secret. Either Listen or Advertise can say that they can, whatever the
// other one says.
func TestReachableNodeNeedsSecret(t *testing.T) {
	for _, c := range []Config{
		{Listen: "0.0.0.0:0"},
		{Listen: ":0"},
		{Advertise: "10.0.0.1:7946"},
		{Listen: "0.0.0.0:0", Advertise: "10.0.0.1:7946"},
		{Listen: "0.0.0.0:0", Advertise: "127.0.0.1:7946"},
		{Advertise: "node.example:7946"},
	} {
		n, err := Open(t.Context(), c)
		if err == nil {
			n.Close()
			t.Errorf("Listen %q, Advertise %q: opened without a secret", c.Listen, c.Advertise)
			continue
		}
		if !strings.Contains(err.Error(), "needs a secret") {
			t.Errorf("Listen %q, Advertise %q: %v; want that it needs a secret", c.Listen, c.Advertise, err)
		}
	}
}
