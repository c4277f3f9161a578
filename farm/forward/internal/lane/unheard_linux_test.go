package lane

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// swallow has a connection lose every packet with more than a thousand bytes that comes to it, as a path does
// whose MTU is lower than both ends believe, where ICMP is dropped.
func swallow(t *testing.T, c net.Conn) {
	t.Helper()
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_LEN},
		{Code: syscall.BPF_JMP | syscall.BPF_JGT, K: 1000, Jf: 1},
		{Code: syscall.BPF_RET, K: 0},
		{Code: syscall.BPF_RET, K: 1 << 18},
	}
	raw, err := beneath(c).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		//lint:ignore SA1019 what is to be used in its place makes filters, and attaches none
		err = syscall.AttachLsf(int(fd), filter)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Packets of more than a thousand bytes vanish on a lane, and on nothing else: what is small gets through,
// and the trunk knows nothing of it. A long request is known not to have been started; a long answer is lost.
// Neither is waited for until the system gives up, a quarter of an hour later. A client that does not read
// for as long is none of that.
//
// Slow: the system sends again five times before it is believed, for some six seconds.
func TestUnheard(t *testing.T) {
	t.Parallel()
	t.Run("request", func(t *testing.T) {
		t.Parallel()
		var ran atomic.Int32
		r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			if req.Method == "POST" {
				ran.Add(1)
			}
		}))
		r.oneLane()
		for _, l := range r.acceptors() {
			swallow(t, l.Conn)
		}
		if o, _ := r.attempt(t.Context(), "GET", "/", nil, someFacts()); o.Err != nil {
			t.Fatalf("small: %v: %v", o.State, o.Err)
		}
		o := r.bounded(t, "POST", "/long?"+strings.Repeat("x", 12<<10))
		if o.Err == nil || o.State != attempt.Refused || ran.Load() > 0 {
			t.Errorf("%v: %v; ran %d times", o.State, o.Err, ran.Load())
		}
	})
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/long" {
				w.Write(make([]byte, 12<<10))
			}
		}))
		swallow(t, r.oneLane().Conn)
		trunk := r.client.trunk
		if o, _ := r.attempt(t.Context(), "GET", "/", nil, someFacts()); o.Err != nil {
			t.Fatalf("small: %v: %v", o.State, o.Err)
		}
		o := r.bounded(t, "GET", "/long")
		if o.Err == nil || o.State != attempt.Sent {
			t.Errorf("%v: %v", o.State, o.Err)
		}
		if r.client.trunk != trunk || !trunk.alive() {
			t.Error("the trunk was lost as well")
		}
	})
	t.Run("slow reader", func(t *testing.T) {
		t.Parallel()
		const size = 32 << 20
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, size))
		}))
		r.oneLane()
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		w := &stopper{ResponseRecorder: httptest.NewRecorder(), wait: 10 * time.Second}
		o := r.client.Do(w, req, &Attempt{Facts: someFacts(), Upload: NewUpload(req)})
		if o.Err != nil || w.n != size {
			t.Errorf("%v: %v, after %d bytes", o.State, o.Err, w.n)
		}
	})
}

// What the system has sent again five times within a moment is no black hole yet.
func TestUnheard_Moment(t *testing.T) {
	t.Parallel()
	var v vain
	start := time.Now()
	for _, s := range []struct {
		after time.Duration
		times int
		given bool
	}{
		{0, 0, false}, {1, 5, false}, {2, 7, false}, {3, 8, true}, // long enough
		{4, 0, false}, {5, 9, false}, {6, 0, false}, {7, 9, false}, {9, 10, true}, // acknowledged in between
		{10, 6, false}, {11, 7, false}, {12, 7, true}, // acknowledged, and lost again, between two looks
		{13, 1, false}, {16, 4, false}, {17, 5, true}, // as long as it usually takes
	} {
		if got := v.look(s.times, start.Add(s.after*time.Second)); got != s.given {
			t.Errorf("%d times after %d s: %v", s.times, s.after, got)
		}
	}
}

// The same over a connection whose system sends again after 5 ms, where it is new enough to do so.
//
// Slow: what is bad for less than two seconds is not given up.
func TestUnheard_Impatient(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := (&net.Dialer{Control: impatient}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	swallow(t, in)
	sender := newLane(out, 1)
	if err := sender.send(kReq, 0, append(newFrame(nil), make([]byte, 12<<10)...)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); retransmissions(beneath(out)) < vainAfter; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			ci.Latef(t, "the system does not send again")
		}
	}
	if sender.unheard() {
		t.Error("given up at the first look")
	}
	for end := time.Now().Add(time.Minute); !sender.unheard(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ci.Latef(t, "never given up")
		}
	}
}

// impatient has the system wait for 5 ms before it sends again (TCP_RTO_MIN_US of linux/tcp.h), on a connection
// that is to be made. An older system goes on as it does.
func impatient(_, _ string, raw syscall.RawConn) error {
	const tcpRTOMin = 45
	return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpRTOMin, 5000) })
}

// bounded makes a request, and fails the test if that takes much longer than it has to.
func (r *rig) bounded(t *testing.T, method, target string) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCanceled)
	defer cancel()
	begin := time.Now()
	o, _ := r.attempt(ctx, method, target, nil, someFacts())
	t.Logf("%v: %v after %v", o.State, o.Err, time.Since(begin).Round(time.Millisecond))
	if ctx.Err() != nil {
		ci.Latef(t, "it hung")
	}
	return o
}

// acceptors returns the lanes of the rig at the acceptor.
func (r *rig) acceptors() (all []*serverLane) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	for _, bd := range r.server.bundles {
		bd.mu.Lock()
		for _, l := range bd.lanes {
			all = append(all, l)
		}
		bd.mu.Unlock()
	}
	return all
}

// stopper is a client that begins to read after a while.
type stopper struct {
	*httptest.ResponseRecorder
	wait time.Duration
	n    int
}

func (s *stopper) Write(p []byte) (int, error) {
	if s.n == 0 {
		time.Sleep(s.wait)
	}
	s.n += len(p)
	return len(p), nil
}
