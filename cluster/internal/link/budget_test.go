package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

var small = map[Class]Bounds{Raft: {Peer: 2, Work: 1}, Public: {Peer: 3, Work: 2}}

// begun begins a handshake that must not wait.
func begun(t *testing.T, b *Budget, c Class, peer string) *Slot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s, err := b.Begin(ctx, c, peer)
	if err == nil {
		err = s.Work(ctx)
	}
	if err != nil {
		t.Fatalf("%s to %s: %v", c, peer, err)
	}
	return s
}

// waits begins a handshake that must wait, and returns what it gets.
func waits(t *testing.T, b *Budget, c Class, peer string) <-chan *Slot {
	t.Helper()
	got := make(chan *Slot, 1)
	go func() {
		s, err := b.Begin(t.Context(), c, peer)
		if err == nil {
			err = s.Work(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	synctest.Wait()
	if len(got) > 0 {
		t.Fatalf("another handshake of class %s with %s did not wait", c, peer)
	}
	return got
}

// However many handshakes of one class there are, those of another go on.
func TestBudget_Classes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(small)
		x, y := begun(t, b, Public, "x"), begun(t, b, Public, "y")
		z := waits(t, b, Public, "z")
		begun(t, b, Raft, "x").End()
		x.End()
		(<-z).End()
		y.End()
	})
}

// A peer has at most so many handshakes under way. Neither these, nor those that wait, keep other peers from
// theirs.
func TestBudget_Peers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(small)
		var dead []*Slot
		for range small[Public].Peer {
			s := begun(t, b, Public, "dead")
			s.Rest() // it says nothing
			dead = append(dead, s)
		}
		fourth := waits(t, b, Public, "dead")
		for range 10 {
			begun(t, b, Public, "living").End()
		}
		dead[0].End()
		(<-fourth).End()
		for _, s := range dead {
			s.End() // once more for the first, which changes nothing
		}
		if len(b.places) > 0 {
			t.Errorf("places of %d peers are remembered for nobody", len(b.places))
		}
	})
}

// Peers take turns, however many handshakes one of them asks for.
func TestBudget_Turns(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(map[Class]Bounds{Public: {Work: 1}})
		first := begun(t, b, Public, "a")
		var mu sync.Mutex
		var order string
		for _, peer := range []string{"a", "a", "a", "a", "b", "b", "c"} {
			got := waits(t, b, Public, peer)
			go func() {
				s := <-got
				mu.Lock()
				order += peer
				mu.Unlock()
				s.End()
			}()
		}
		first.End()
		synctest.Wait()
		if order != "abcabaa" {
			t.Errorf("the turns were %s", order)
		}
	})
}

// A handshake that stops waiting leaves nothing behind, and takes no place.
func TestBudget_GivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(small)
		held := []*Slot{begun(t, b, Raft, "x"), nil}
		var err error
		if held[1], err = b.Begin(t.Context(), Raft, "x"); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if _, err := b.Begin(ctx, Raft, "x"); err != gone {
					t.Error(err)
				}
			})
			wg.Go(func() {
				s, err := b.Begin(t.Context(), Raft, fmt.Sprint("y", i))
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Work(ctx); err != gone {
					t.Error(err)
				}
				s.End()
			})
		}
		synctest.Wait()
		cancel(gone)
		wg.Wait()
		for _, s := range held {
			s.End()
		}
		if w := b.work[Raft]; len(b.places) > 0 || w.free != 1 || w.ring.Len() > 0 || len(w.lines) > 0 {
			t.Errorf("left behind: places of %d peers, %d waiting, %d free", len(b.places), w.ring.Len(),
				w.free)
		}
		if _, err := b.Begin(t.Context(), Bulk, "x"); err == nil {
			t.Error("a class without bounds has no end")
		}
	})
}

// A handshake that waits for the network lets others compute, and goes on in its turn; what has come is read
// whole.
func TestHandshake_RestsInRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(map[Class]Bounds{Raft: {Work: 1}})
		here, there := net.Pipe()
		defer there.Close()
		h := Pace(t.Context(), here)
		defer h.Close()
		s, err := b.Begin(t.Context(), Raft, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Take(s); err != nil {
			t.Fatal(err)
		}
		read := make(chan string)
		go func() {
			buf := make([]byte, 3)
			for range 3 {
				n, err := h.Read(buf)
				read <- fmt.Sprint(string(buf[:n]), err)
			}
		}()
		synctest.Wait()
		other := begun(t, b, Raft, "y") // now this one computes
		there.Write([]byte("answer"))
		synctest.Wait()
		select {
		case s := <-read:
			t.Errorf("%q was read out of turn", s)
		default:
		}
		other.End()
		for _, want := range []string{"ans<nil>", "wer<nil>"} {
			if got := <-read; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		there.Close()
		if got := <-read; got != "EOF" {
			t.Errorf("%q at the end", got)
		}
		h.Over()
		begun(t, b, Raft, "y").End()
	})
}

// A handshake that is given up while it waits for its turn ends.
func TestHandshake_GivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := NewBudget(map[Class]Bounds{Raft: {Work: 1}})
		other := begun(t, b, Raft, "y")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h := Pace(ctx, nil)
		s, err := b.Begin(ctx, Raft, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Take(s); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		h.Over()
		other.End()
		begun(t, b, Raft, "x").End()
	})
}

func TestClassOf(t *testing.T) {
	for proto, want := range map[string]Class{"raft": Raft, "gossip": Gossip, "rpc": RPC, "admin": Admin,
		"bulk":         Bulk,
		"bulk-content": Bulk, "admin-program": Admin, "admins": Public, "bulky": Public, "http": Public, "": Public,
		"public": Public} {
		if got := ClassOf(proto); got != want {
			t.Errorf("%q is %s, want %s", proto, got, want)
		}
	}
}
