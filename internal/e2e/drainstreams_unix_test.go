//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// A node is stopped that has hundreds of event streams and WebSockets, and takes an upload. The streams end one after
// the other, in order, and their clients come back by another node. The upload goes on until all of them have gone,
// and is answered; then the node ends well. 500 streams; 10,000, and an upload of an hour, by make torture.
//
// Slow: the ends of streams are spread over two seconds.
func TestDrain_StreamsAndUpload(t *testing.T) {
	plain(t)
	scenario(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	count, drain, upload := 500, 6*time.Second, time.Duration(0)
	if ci.Torture() {
		count, drain, upload = 10_000, 70*time.Minute, time.Hour
		if most := descriptors.Limit()/2 - 500; most > 0 && count > most { // half of them are for clients
			count = most
			t.Logf("this process may have %d files open: %d streams only", descriptors.Limit(), count)
		}
	}
	f := newFarm(t, 2, true)
	f.env = append(f.env, holderEnv+"="+streams)
	for _, n := range f.nodes {
		n.bin = self
		n.more = []string{"-drain", drain.String(), "-max-conns-per-client", fmt.Sprint(2 * count)}
	}
	f.formTogether()
	leaving, other := f.follower(), f.leader()

	begin := time.Now()
	clients := make([]*staying, count)
	var wg sync.WaitGroup
	turns := make(chan struct{}, 32)
	for i := range clients {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			var err error
			if clients[i], err = leaving.stay(i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%d streams were opened in %v", count, time.Since(begin).Round(time.Millisecond))
	up := leaving.beginUpload()

	begin = time.Now()
	leaving.signal(leaving.terminate)
	ends := make([]time.Duration, count)
	for i, c := range clients {
		wg.Go(func() {
			if err := c.ends(); err != nil {
				t.Errorf("a stream (WebSocket: %v) ended: %v", c.socket, err)
			}
			ends[i] = time.Since(begin)
			again, err := other.stay(c.socket)
			if err != nil {
				t.Errorf("its client came back: %v", err)
				return
			}
			again.conn.Close()
		})
	}
	wg.Wait()
	slices.Sort(ends)
	t.Logf("all clients were back after %v", time.Since(begin).Round(time.Millisecond))
	first, last := ends[count/10], ends[count*9/10]
	t.Logf("of %d streams, a tenth had ended after %v, nine tenths after %v, all after %v", count, first, last, ends[count-1])
	if spread := min(drain*2/5*4/5, time.Duration(count)*10*time.Millisecond); last-first < spread/4 {
		ci.Latef(t, "most streams ended within %v, and their ends should be spread over %v", last-first, spread)
	}
	time.Sleep(time.Until(begin.Add(upload)))
	up.finish(t)
	leaving.stopped()
	other.stop()
}

// uploading is an upload that goes on.
type uploading struct {
	node  *node
	stop  chan struct{}
	sent  int64 // by the time that stop has been heard
	heard chan string
}

// beginUpload begins an upload to the node, of some kilobytes in a second.
func (n *node) beginUpload() *uploading {
	u := &uploading{node: n, stop: make(chan struct{}), heard: make(chan string, 1)}
	r, w := io.Pipe()
	begun := make(chan struct{})
	go func() {
		defer w.Close()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			k, err := w.Write(make([]byte, 1024))
			if u.sent += int64(k); err != nil {
				return
			}
			if u.sent == 4<<10 { // more than what is read ahead
				close(begun)
			}
			select {
			case <-tick.C:
			case <-u.stop:
				return
			}
		}
	}()
	go func() {
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(n.request("POST", "/upload", r))
		if err != nil {
			r.CloseWithError(err)
			u.heard <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		u.heard <- fmt.Sprintf("%d %s %v", res.StatusCode, b, err)
	}()
	<-begun
	return u
}

// finish ends the upload, which must have been taken as a whole by its node until now.
func (u *uploading) finish(t *testing.T) {
	t.Helper()
	select {
	case got := <-u.heard:
		t.Fatalf("the upload ended by itself: %s", got)
	default:
	}
	close(u.stop)
	got := <-u.heard
	if want := fmt.Sprintf("200 %d bytes, <nil>, by %s <nil>", u.sent, u.node.name); got != want {
		t.Errorf("the upload: %s, want %s", got, want)
	}
}

// request is one to the node, for as long as the test lasts.
func (n *node) request(method, path string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(n.farm.t.Context(), method, n.url()+path, body)
	if err != nil {
		panic(err) // paths are literals
	}
	return req
}
