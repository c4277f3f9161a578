package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	peakVisitors  = 32
	mostVisitors  = 2048             // that wait for an answer at a time
	crowdPatience = 20 * time.Second // of one of them: longer than whatever a restart takes
)

// crowd is a number of visitors of a site. Each has a session and connections of its own.
type crowd struct {
	t    *testing.T
	door *frontDoor
	wg   sync.WaitGroup

	mu     sync.Mutex
	free   []*crowdVisitor // that wait for nothing; guarded by mu
	made   []*crowdVisitor // guarded by mu
	waits  []time.Duration // since the moment when a request was due; guarded by mu
	failed map[string]int  // by kind; guarded by mu
	late   int             // requests that nobody was left to make; guarded by mu
}

func newCrowd(t *testing.T, door *frontDoor) *crowd {
	return &crowd{t: t, door: door, failed: map[string]int{}}
}

// crowdVisitor asks for one thing at a time.
type crowdVisitor struct {
	crowd  *crowd
	client *http.Client
	asked  int
}

// visitor returns one who waits for nothing; nil = all of them do, and there must not be more.
func (c *crowd) visitor() *crowdVisitor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		v := c.free[n-1]
		c.free = c.free[:n-1]
		return v
	}
	if len(c.made) == mostVisitors {
		c.late++
		return nil
	}
	v := &crowdVisitor{crowd: c, client: c.door.client()}
	v.client.Timeout = crowdPatience
	v.client.Jar, _ = cookiejar.New(nil) // it never fails
	c.made = append(c.made, v)
	return v
}

// come has requests made at this rate, in a second, whatever becomes of those before, until stop is called. It
// returns for how long they were.
func (c *crowd) come(rate float64) (stop func() time.Duration) {
	done, began := make(chan struct{}), time.Now()
	c.wg.Go(func() {
		for i := 0; ; i++ {
			due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			select {
			case <-done:
				return
			case <-time.After(time.Until(due)):
			}
			if v := c.visitor(); v != nil {
				c.wg.Go(func() {
					v.ask(due)
					c.mu.Lock()
					defer c.mu.Unlock()
					c.free = append(c.free, v)
				})
			}
		}
	})
	return func() time.Duration {
		close(done)
		return time.Since(began)
	}
}

// ask makes a request that was due at that time: every third one counts in the visitor's session, as the first one
// does, the others look.
func (v *crowdVisitor) ask(due time.Time) {
	method := http.MethodGet
	if v.asked%3 == 0 {
		method = http.MethodPost
	}
	v.asked++
	why := v.fetch(method)
	c := v.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if why != "" {
		c.failed[method+" "+why]++
		return
	}
	c.waits = append(c.waits, time.Since(due))
}

// fetch returns why a request failed; "" = it did not.
func (v *crowdVisitor) fetch(method string) string {
	req, err := http.NewRequestWithContext(v.crowd.t.Context(), method, v.crowd.door.url().String()+"/api/count", nil)
	if err != nil {
		panic(err) // the address is ours
	}
	var a answer
	res, err := v.client.Do(req)
	if err != nil {
		return reason(a, err)
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	if a.body, err = io.ReadAll(res.Body); err != nil || a.status != http.StatusOK {
		return reason(a, err)
	}
	return ""
}

// end waits for the last answers.
func (c *crowd) end() {
	c.wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.made {
		v.client.CloseIdleConnections()
	}
}

func (c *crowd) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waits)
}

func (c *crowd) failures() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.failed {
		n += k
	}
	return n
}

// String says how the requests went.
func (c *crowd) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out strings.Builder
	fmt.Fprintf(&out, "%d answered", len(c.waits))
	if slices.Sort(c.waits); len(c.waits) > 0 {
		part := func(of float64) time.Duration {
			return c.waits[int(of*float64(len(c.waits)-1))].Round(time.Millisecond)
		}
		fmt.Fprintf(&out, ", waits of %v (half), %v (99 %%), %v (all)", part(0.5), part(0.99), part(1))
	}
	fmt.Fprintf(&out, "; %d not made, because %d visitors were waiting", c.late, mostVisitors)
	for _, kind := range slices.Sorted(maps.Keys(c.failed)) {
		fmt.Fprintf(&out, "; %d failed: %s", c.failed[kind], kind)
	}
	return out.String()
}
