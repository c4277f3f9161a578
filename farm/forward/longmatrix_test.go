package forward

import (
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// TestRetryMatrix_Long is the retry matrix for bodies that are far too long to be kept: they are never sent twice,
// and are whole where they were not asked for. By make torture 1 GiB against all ends, otherwise 4 MiB against every
// fifth.
func TestRetryMatrix_Long(t *testing.T) {
	m := newMatrix(t)
	size, step := 4<<20, 5 // no divisor of the numbers of what is combined
	if ci.Torture() {
		size, step = 1<<30, 1
	}
	i, ran := 0, 0
	for _, method := range []string{"POST", "PUT", "GET"} {
		for _, route := range []string{"plain", "idempotent"} {
			for _, chunked := range []bool{false, true} {
				for _, end := range []string{"", "unreachable", "refused", "lost before the body", "lost in the body",
					"lost behind the body", "lost after a hint", "lost after a write", "panic"} {
					if i++; i%step == 0 {
						m.run(i, trial{method: method, end: end, route: route, body: size, chunked: chunked})
						ran++
					}
				}
			}
		}
	}
	t.Logf("%d of %d trials, %d bytes each", ran, i, size)
}
