package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/internal/state"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// withLimits returns a store in this process with limits of its own.
func withLimits(t testing.TB, limits session.Limits) session.Store {
	t.Helper()
	store := session.NewMemory()
	if _, err := store.Do(t.Context(), state.SetLimits{Limits: limits}); err != nil {
		t.Fatal(err)
	}
	return store
}

var roomy = session.Limits{Value: 1 << 10, Name: 64, Keys: 4096, Session: 1 << 20, Sessions: 1 << 20}

// One request sets as many values as a session may hold. It took 15 ms for each while every Set looked at all before it:
// more than a minute for these.
func TestManySets(t *testing.T) {
	m := newManager(t, withLimits(t, roomy), func(c *session.Config) { c.Limits = roomy })
	began := time.Now()
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error {
		var errs []error
		for i := range 4096 {
			errs = append(errs, session.NewKey[int](fmt.Sprint("k", i)).Set(ctx, i))
		}
		return errors.Join(errs...)
	})
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		for i := range 4096 {
			if n, ok := session.NewKey[int](fmt.Sprint("k", i)).Get(ctx); n != i || !ok {
				t.Fatalf("k%d: %d, %v", i, n, ok)
			}
		}
		if err := note.Set(ctx, "one too many"); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("4097 keys: %v", err)
		}
	})
	if took := time.Since(began); took > 30*time.Second {
		ci.Latef(t, "4096 Sets took %v", took)
	}
}

// Whatever a request does to values, it sees what a map would hold, and the sum that limits are judged by is that of what it sees.
func TestSumOfWhatIsSeen(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	random := rand.New(rand.NewPCG(seed, 0))
	keys := make([]session.Key[string], 24)
	for i := range keys {
		keys[i] = session.NewKey[string](strings.Repeat("k", i+1))
	}
	m := newManager(t, withLimits(t, roomy), func(c *session.Config) { c.Limits = roomy })
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return keys[0].Set(ctx, "first") })
	model := map[int]string{0: "first"}
	for range 60 {
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			for range random.IntN(40) {
				i := random.IntN(len(keys))
				k, v := keys[i], strings.Repeat("v", random.IntN(50))
				switch random.IntN(8) {
				case 0:
					k.Delete(ctx)
					delete(model, i)
				case 1:
					if got, ok, err := k.Take(ctx); err != nil || ok != has(model, i) || got != model[i] {
						t.Errorf("take: %q, %v, %v; want %q", got, ok, err, model[i])
					}
					delete(model, i)
				case 2:
					if _, err := k.Update(ctx, func(string, bool) (string, error) { return v, nil }); err != nil {
						t.Error(err)
					}
					model[i] = v
				case 3:
					if err := session.From(ctx).Save(ctx); err != nil {
						t.Error(err)
					}
				default:
					if err := k.Set(ctx, v); err != nil {
						t.Error(err)
					}
					model[i] = v
				}
				session.CheckSum(t, ctx)
				if got, ok := k.Get(ctx); ok != has(model, i) || got != model[i] {
					t.Fatalf("value %d: %q, %v; want %q", i, got, ok, model[i])
				}
			}
			if n := len(slices.Collect(session.From(ctx).Keys())); n != len(model) {
				t.Errorf("%d keys, want %d", n, len(model))
			}
		})
		if t.Failed() {
			return
		}
	}
}

func has(m map[int]string, i int) bool {
	_, ok := m[i]
	return ok
}
