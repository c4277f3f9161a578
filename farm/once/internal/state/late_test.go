package state

import (
	"bytes"
	"testing"
	"time"
)

// A machine works, and reads its own snapshots, at any time that a clock may show.
func TestLateTimes(t *testing.T) {
	for _, year := range []int{1960, 2043, 2300, 9999} {
		m := New(nil)
		now := time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC)
		a, err := DecodeAnswer(m.Apply(1, now, Register{ID: "a", Node: "a"}.Append(nil)))
		if err != nil || a.Code != OK {
			t.Errorf("in %d: %v, %v", year, a.Code, err)
		}
		var b bytes.Buffer
		m.Snapshot().WriteTo(&b)
		if err := New(nil).Restore(&b); err != nil {
			t.Errorf("in %d: %v", year, err)
		}
	}
}
