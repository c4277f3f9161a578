package once

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once/internal/state"
)

// What a node says of runs: all of them if the job is due seldom, and of one that is due often what is news.
func TestJob_Say(t *testing.T) {
	var out bytes.Buffer
	c := New(Config{News: new(News), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	defer c.Close(context.Background())
	said := func(cron string, manual bool, err error, want ...string) *job {
		t.Helper()
		p, bad := Schedule{Cron: cron, Zone: "UTC"}.parse()
		if bad != nil {
			t.Fatal(bad)
		}
		j := &job{work: &work{c: c, name: "x"}, parsed: p}
		for _, w := range want {
			out.Reset()
			r := state.Run{At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), Manual: manual}
			j.say(j.loudness(r), err, "fence", 7)
			if got := out.String(); !strings.Contains(got, w) || w == "" && got != "" {
				t.Errorf("%s: %q, want %q", cron, got, w)
			}
		}
		return j
	}
	said("0 3 * * *", false, nil, "ran", "ran")
	said("*/5 * * * *", false, nil, "ran", "ran")
	said("* * * * * *", false, nil, "", "")
	said("* * * * * *", true, nil, "ran", "ran")
	said("0 3 * * *", false, errors.New("no paper"), "no paper", "no paper")
	j := said("* * * * * *", false, errors.New("no paper"), "no paper", "", "")
	out.Reset()
	j.say(slog.LevelDebug, errors.New("no ink"))
	j.say(slog.LevelDebug, nil)
	j.say(slog.LevelDebug, nil)
	if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(),
		"ran, after it had failed here") {
		t.Errorf("%s", out.String())
	}
}

func TestClient_Stats(t *testing.T) {
	inLab(t, 2, func(l *lab) {
		a, b := l.nodes[0], l.nodes[1]
		l.lock(a, "x")
		ctx, cancel := context.WithCancel(l.t.Context())
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			b.Lock(ctx, "x")
		}()
		l.until(time.Minute, "b waits", func() bool { return b.Stats().Waiting == 1 })
		if s := a.Stats(); s != (Stats{Held: 1}) {
			t.Errorf("%+v", s)
		}
		l.cut(a)
		l.until(time.Minute, "b has it", func() bool { return b.Stats().Held == 1 })
		if s := b.Stats(); s != (Stats{Held: 1, Expired: 1}) {
			t.Errorf("%+v", s)
		}
		l.heal(a)
		l.lock(a, "y") // for which it needs another name
		if s := a.Stats(); s != (Stats{Held: 1, Lost: 1, Replaced: 1}) {
			t.Errorf("%+v", s)
		}
		cancel()
		<-waits
	})
}
