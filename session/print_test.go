package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// What a handler gets prints neither token nor value, whatever the verb and however it is logged: also while other goroutines
// use the session.
func TestNothingPrintsTokenOrValue(t *testing.T) {
	store := session.NewMemory()
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "SECRETVALUE") })
	type key struct{}
	look := func(ctx context.Context, w http.ResponseWriter) (printed string) {
		child, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
		defer cancel()
		var log bytes.Buffer
		text, structured := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
		for _, v := range []any{ctx, child, context.WithoutCancel(ctx), w, session.From(ctx), []any{ctx, w, session.From(ctx)},
			map[string]any{"ctx": ctx}, struct{ C context.Context }{ctx}, note, m, []any{store}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				printed += fmt.Sprintf(verb+"\n", v)
			}
			text.Info("x", "v", v)
			structured.Info("x", "v", v)
			b, _ := json.Marshal(v)
			printed += string(b)
		}
		return printed + log.String()
	}
	check := func(token, printed string) {
		t.Helper()
		for _, secret := range []string{token, "SECRETVALUE"} {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
				strings.Trim(fmt.Sprintf("%#v", []byte(secret)), "[]byte{}")} {
				if strings.Contains(printed, form) {
					t.Errorf("%q is printed", form)
				}
			}
		}
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "SECRETVALUE, changed")
		var wg sync.WaitGroup
		wg.Go(func() { flash.Set(ctx, "SECRETVALUE") })
		printed := look(ctx, w)
		wg.Wait()
		check(cookieOf(t, r, "sid"), printed)
	})
	printed := ""
	fresh := newRequest()
	resp := within(m, fresh, func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "SECRETVALUE")
		if err := session.From(ctx).Save(ctx); err != nil {
			t.Error(err)
		}
		printed = look(ctx, struct{ http.ResponseWriter }{w})
	})
	sessiontest.Carry(fresh, resp)
	check(cookieOf(t, fresh, "sid"), printed)
}
