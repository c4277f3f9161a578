package farm

import (
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/seed48eb2e21/webfarm/farm/dev"
)

// defaultLogger is what a Config.Logger of nil means.
func defaultLogger() *slog.Logger {
	if l := slog.Default(); fmt.Sprintf("%T", l.Handler()) != untouched || log.Writer() != os.Stderr {
		return l
	}
	if dev.Terminal(os.Stderr) {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: readable}))
}

// readable writes durations as 1.5s; package slog would write nanoseconds without a unit.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// untouched is the type of the handler that package slog begins with. There is no other way to know it.
const untouched = "*slog.defaultHandler"
