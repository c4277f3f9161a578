package forward

import "testing"

// Each peer has a few connections, and all together have what the descriptors leave.
func TestRoom(t *testing.T) {
	r := newRoom(64)
	for i := range 12 {
		if !r.take(false) {
			t.Fatalf("of 64 descriptors only %d are for connections to peers", i)
		}
	}
	if r.take(false) {
		t.Error("more than three sixteenths")
	}
	if !r.take(true) {
		t.Error("a peer without connections gets none")
	}
	r.give()
	r.give()
	if !r.take(false) {
		t.Error("what was given back is gone")
	}
	if !newRoom(0).take(false) {
		t.Error("without a known limit there is none")
	}
}
