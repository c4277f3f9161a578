package forward

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
)

// hookedConn calls a function once something was read.
type hookedConn struct {
	net.Conn
	hook func()
}

func (c *hookedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.hook()
	return n, err
}

// A body that was read for a peer, which then refuses the request, counts among what is kept of bodies for as long as
// this node's own handler has it.
func TestSpill_KeptBody(t *testing.T) {
	const size = 20 << 10
	body := func() io.Reader { return strings.NewReader(strings.Repeat("x", size)) }
	begun, finish, heard := make(chan struct{}, 2), make(chan struct{}), func() {}
	f := newFakeFarm(t)
	f.Wire = func(_ string, c net.Conn) net.Conn { return &hookedConn{c, func() { heard() }} }
	a := f.add("a", Config{MaxRunning: 1}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-finish
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	refuses := f.add("b", Config{}, never(t)) // says that it is ready, and is not
	f.Change(func() { refuses.Tags[TagGate] = "ready" })
	a.gate.Admit()
	a.gate.bodies = lane.NewMemory(size)
	a.sees("b")
	var first sync.Once
	heard = func() { // from the peer: by then the limit was reached, and there is room afterwards
		first.Do(func() {
			finish <- struct{}{}
			eventually(t, func() bool { return a.gate.limit.Load().Running == 0 })
		})
	}
	answers := make(chan string, 2)
	for _, b := range []io.Reader{nil, body()} {
		go func() {
			_, got := fetch(t, request(t, "POST", a.public.URL, b))
			answers <- got
		}()
		<-begun
	}
	fits := func() bool {
		up := a.gate.bodies.Upload(request(t, "POST", "http://h", body()))
		defer up.Release()
		return up.Kept()
	}
	if fits() {
		t.Error("the body that the handler has does not count")
	}
	finish <- struct{}{}
	if got := map[string]bool{<-answers: true, <-answers: true}; !got["0 <nil>"] || !got[fmt.Sprint(size, " <nil>")] {
		t.Errorf("%v", got)
	}
	eventually(t, fits)
}
