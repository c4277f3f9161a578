package state

import (
	"slices"
	"testing"
)

func TestNewRecord(t *testing.T) {
	v := func(name, value string, version uint64) Versioned {
		return Versioned{Entry{name, []byte(value)}, version}
	}
	given := []Versioned{v("b", "2", 7), v("a", "1", 9), v("c", "", 1)}
	r, err := NewRecord(given)
	if err != nil {
		t.Fatal(err)
	}
	copy(given[0].Value, "x")
	if names := slices.Collect(r.Names()); !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("names %q", names)
	}
	if value, version, ok := r.Value("b"); string(value) != "2" || version != 7 || !ok {
		t.Errorf("b = %q, %d, %v", value, version, ok)
	}
	if empty, err := NewRecord(nil); err != nil || empty.Len() != 0 {
		t.Errorf("empty: %v, %v", empty, err)
	}
	for _, bad := range [][]Versioned{
		{v("", "x", 1)}, {v("a", "x", 0)}, {v("a", "1", 1), v("a", "2", 2)},
		{v("a", string(make([]byte, maxLimits.Value+1)), 1)}, {v(string(make([]byte, maxLimits.Name+1)), "", 1)},
	} {
		if _, err := NewRecord(bad); err == nil {
			t.Errorf("accepted: %d values, the first called %.10q", len(bad), bad[0].Name)
		}
	}
}
