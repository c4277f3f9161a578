package voting

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ms := func(t time.Time) uint64 { return uint64(t.UnixMilli()) }
	voters := []string{"a", "b", "c"}
	const year = 365 * 24 * time.Hour

	t.Run("follows the majority forward", func(t *testing.T) {
		c := NewClock("a", ms(start.Add(-8*time.Hour)), start) // the farm was down over night
		c.Sample("b", ms(start.Add(-time.Second)), start)
		if got, want := c.Stamp(voters, start), ms(start.Add(-time.Second)); got != want {
			t.Errorf("stamp %d, want b's clock %d", got, want)
		}
	})
	t.Run("a leader in the future moves nothing", func(t *testing.T) {
		last := start.Add(-14 * year)
		c := NewClock("a", ms(last), start) // a's clock says start, the others live 14 years before
		c.Sample("b", ms(last), start)
		c.Sample("c", ms(last), start)
		if got, want := c.Stamp(voters, start.Add(time.Minute)), ms(last.Add(time.Minute)); got != want {
			t.Errorf("stamp %d, want %d", got, want)
		}
	})
	t.Run("never back", func(t *testing.T) {
		c := NewClock("a", ms(start.Add(year)), start)
		c.Sample("b", ms(start), start)
		if got, want := c.Stamp(voters, start.Add(time.Second)),
			ms(start.Add(year+time.Second)); got != want {
			t.Errorf("stamp %d, want %d: the last stamp and the time since", got, want)
		}
	})
	t.Run("who was not heard has reached nothing", func(t *testing.T) {
		c := NewClock("a", 1000, start)
		if got := c.Stamp(voters, start.Add(time.Second)); got != 2000 {
			t.Errorf("stamp %d, want 2000", got)
		}
	})
	t.Run("alone", func(t *testing.T) {
		c := NewClock("a", 0, start)
		if got, want := c.Stamp([]string{"a"}, start), ms(start); got != want {
			t.Errorf("stamp %d, want %d", got, want)
		}
	})
}
