package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"time"
)

// outcome says what became of a request.
type outcome int

const (
	done      outcome = iota // it was answered
	nothing                  // it was not carried out, and never will be
	uncertain                // it may have been carried out, or may be yet
)

// answer is what came back.
type answer struct {
	outcome
	status int
	body   []byte
}

// nothingHappened are the words by which a node says so in a 503.
var nothingHappened = []string{"no leader:", "This site is starting"}

// ask sends one request to a node, with the cookies of client.
func (b *browser) ask(client *http.Client, n *node, method, path, body string, cookies ...*http.Cookie) answer {
	// The context of the test ends a request only when the test is over.
	req, err := http.NewRequestWithContext(b.load.farm.t.Context(), method, n.url()+path, strings.NewReader(body))
	if err != nil {
		panic(err) // paths are literals
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	looked := b.load.balancer.looked(n)
	var sent time.Time
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent = time.Now() }}
	a, err := fetch(client, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if a.outcome == done {
		return a
	}
	kind, broke := method+" "+reason(a, err), a.cutOff(err)
	if broke && sent.Sub(looked) > quietTime {
		kind, broke = kind+", sent after the node had every right to be gone", false
	}
	b.load.tally.failure(kind, broke)
	return a
}

func fetch(client *http.Client, req *http.Request) (a answer, err error) {
	res, err := client.Do(req)
	if err != nil {
		return answer{outcome: failed(err)}, err
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return answer{outcome: uncertain}, err
	}
	switch {
	case a.status == http.StatusConflict, a.status == http.StatusServiceUnavailable && says(a.body, nothingHappened):
		a.outcome = nothing
	case a.status >= 500:
		a.outcome = uncertain
	}
	return a, nil
}

// failed says what an error of the client means: only without a connection nothing has happened for certain.
func failed(err error) outcome {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return nothing
	}
	return uncertain
}

// cutOff reports whether the request was lost on its way: not refused, and not given up because it took too long.
func (a answer) cutOff(err error) bool {
	if err != nil {
		return a.outcome == uncertain && !os.IsTimeout(err)
	}
	return a.status == http.StatusBadGateway
}

// reason says why a request failed, without addresses.
func reason(a answer, err error) string {
	var op *net.OpError
	switch {
	case err == nil:
		return fmt.Sprintf("%d %.70q", a.status, a.body)
	case os.IsTimeout(err):
		return "timeout"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "EOF"
	}
	return err.Error()
}

func says(body []byte, words []string) bool {
	for _, w := range words {
		if strings.Contains(string(body), w) {
			return true
		}
	}
	return false
}

func (a answer) count() (int, error) {
	var v struct{ Count *int }
	if err := a.decode(&v); err != nil {
		return 0, err
	}
	if v.Count == nil {
		return 0, fmt.Errorf("no count: %s", a.body)
	}
	return *v.Count, nil
}

func (a answer) items() (map[string]int, error) {
	var v struct{ Items map[string]int }
	return v.Items, a.decode(&v)
}

func (a answer) decode(v any) error {
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return json.Unmarshal(a.body, v)
}

// value returns the answer to a read of a value; 0 = there is none.
func (a answer) value() (int, error) {
	switch a.status {
	case http.StatusNotFound:
		return 0, nil
	case http.StatusOK:
		return strconv.Atoi(string(a.body))
	}
	return 0, fmt.Errorf("status %d: %s", a.status, a.body)
}
