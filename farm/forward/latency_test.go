package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// latencies are how long something took, again and again.
type latencies []time.Duration

// median and worst sort them.
func (l latencies) median() time.Duration { slices.Sort(l); return l[len(l)/2] }
func (l latencies) worst() time.Duration  { return slices.Max(l) }

// ticker is an application whose events say when they were flushed, and which says when a client's end reached it.
type ticker struct {
	base  time.Time
	ended chan time.Time // one for each stream that a client has ended
}

func (k *ticker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		fmt.Fprintf(w, "data: %d\n\n", time.Since(k.base))
		if out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			k.ended <- time.Now()
			return
		}
	}
}

// listen reads n events of a new stream at url, and ends it. It returns how long after they were flushed events came,
// the first one by itself, and how long after the client's end the handler knew of it.
func (k *ticker) listen(t *testing.T, url string, n int) (first time.Duration, later latencies, ended time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := request(t, "GET", url, nil).WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for i := range n {
		var sent time.Duration
		line, err := in.ReadString('\n')
		came := time.Since(k.base)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(line, "data: %d", &sent); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		io.CopyN(io.Discard, in, 1)
		if i == 0 {
			first = came - sent
		} else {
			later = append(later, came-sent)
		}
	}
	gone := time.Now()
	cancel()
	return first, later, (<-k.ended).Sub(gone)
}

// An event comes within 5 ms of its flush more often than not by a front, as does the first one of a stream, and within
// 100 ms at worst; within 100 ms a handler knows that its client has gone. The best of three rounds counts, since a
// machine may stand still.
func TestForward_Latency(t *testing.T) {
	if !ci.Torture() {
		t.Skip("set WEBFARM_TORTURE for bounds in real time, which a busy machine does not keep; TestForward_Streams is the short form")
	}
	const streams, events, usual, most = 100, 20, 5 * time.Millisecond, 100 * time.Millisecond
	k := &ticker{base: time.Now(), ended: make(chan time.Time, 1)}
	front, _ := pair(t, k)
	problem := ""
	for range 3 {
		var firsts, later, ends latencies
		for range streams {
			first, more, end := k.listen(t, front.public.URL, events)
			firsts, later, ends = append(firsts, first), append(later, more...), append(ends, end)
		}
		said := fmt.Sprintf("first events %v, %v at worst; later ones %v, %v; ends %v, %v", firsts.median(), firsts.worst(),
			later.median(), later.worst(), ends.median(), ends.worst())
		t.Log(said)
		if firsts.median() <= usual && later.median() <= usual && max(firsts.worst(), later.worst(), ends.worst()) <= most {
			return
		}
		problem = said
	}
	t.Errorf("may be %v, and %v at worst: %s", usual, most, problem)
}
