package cluster

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// symmetric gives all nodes the same Join list, that of all of them.
func (l *lab) symmetric() {
	var all []string
	for _, n := range l.nodes {
		all = append(all, n.conf.Listen)
	}
	for _, n := range l.nodes {
		n.conf.Join = all
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestJoinByName(t *testing.T) {
	t.Parallel()
	a := openTest(t, Config{Name: "a"})
	_, port := splitAddr(a.Addr())
	b := openTest(t, Config{Name: "b",
		Join: []string{fmt.Sprintf("localhost:%d", port), "not a host name:1"}})
	ready(t, a, b)
}
