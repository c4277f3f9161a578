package cluster

import (
	"strings"
	"testing"
	"time"
)

// What is left out has its default, what is given stays, and what cannot work is refused by its name.
func TestTuning(t *testing.T) {
	for _, durable := range []bool{false, true} {
		got := Config{Dir: map[bool]string{true: "d"}[durable]}.withDefaults().Tuning
		want := Tuning{MaxVoters: 5, DeadAfter: 30 * time.Second, Heartbeat: 500 * time.Millisecond,
			SnapshotBytes: 64 << 20}
		if durable {
			want.DeadAfter = 5 * time.Minute
		}
		if got != want {
			t.Errorf("durable %v: by default %+v, want %+v", durable, got, want)
		}
	}
	given := Tuning{MaxVoters: 3, DeadAfter: -1, Heartbeat: time.Second, SnapshotBytes: 1}
	if got := (Config{Tuning: given}).withDefaults().Tuning; got != given {
		t.Errorf("%+v became %+v", given, got)
	}
	for name, bad := range map[string]Tuning{
		"Tuning.MaxVoters":     {MaxVoters: -1},
		"Tuning.SnapshotBytes": {SnapshotBytes: -1},
		"Tuning.Heartbeat":     {Heartbeat: time.Millisecond},
	} {
		if _, err := Open(t.Context(), Config{Tuning: bad}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v; want an error that names %s", bad, err, name)
		}
	}
}
