package farm_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// A program may carry out a migration before it serves, also in a farm that is just forming: it waits for that, and
// is not told that some node runs an older program.
func TestFarm_OnceWhileItForms(t *testing.T) {
	for _, nodes := range []int{1, 2, 3} {
		result := make(chan error, nodes)
		ran := make(chan uint64, nodes)
		handler := func(f *farm.Farm) http.Handler {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				result <- f.Once(ctx, "schema", func(_ context.Context, fence uint64) error {
					ran <- fence
					return nil
				})
			}()
			return http.NotFoundHandler()
		}
		farmtest.Run(t, nodes, handler, func(t *testing.T, f *farmtest.Farm) {
			until(t, "all have it", time.Minute, func() bool { return len(result) == nodes })
			for range nodes {
				if err := <-result; err != nil {
					t.Errorf("of %d: %v", nodes, err)
				}
			}
			if len(ran) != 1 {
				t.Errorf("it ran %d times", len(ran))
			}
		})
	}
}
