package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// insideEnv says that a test runs in a network of its own.
const insideEnv = "WEBFARM_E2E_NETWORK"

// The path between a front and one of its two nodes swallows packets of more than a thousand bytes, both
// ways, without a word, as a tunnel does where ICMP is dropped. Gossip and all that is small get through, so
// nobody takes the node for dead. Whoever sends a long request, or gets a long answer, has it in seconds all
// the same, from the other node; nothing is done twice. Later requests go to the other node without any wait.
// When the path is well again, so is the node.
//
// Each node has a network of its own, two bridges are between them, and on one of them the MTU sinks.
//
// Slow: a system sends again for six seconds before it is disbelieved, and a bad node is out for thirty.
func TestBlackHole(t *testing.T) {
	if !ci.Torture() {
		t.Skip("set WEBFARM_TORTURE for a path that swallows large packets; package lane has the short form")
	}
	if os.Getenv(insideEnv) == "" {
		inOwnNetwork(t)
		return
	}
	f := newFarm(t, 3, true)
	h := buildNetwork(t, f)
	front := f.nodes[0]
	front.more = append(front.more, "-role", "front")
	h.start()
	visitors := h.settle()

	h.mtu(1000)
	for range 20 {
		if _, err := h.whoami(0); err != nil {
			t.Errorf("a small request: %v", err)
		}
	}
	// A few at a time: each way and each node must have its turn.
	for round := range 3 {
		var all sync.WaitGroup
		for i := range visitors {
			all.Go(func() { h.long(visitors[i], fmt.Sprintf("round %d", round), false) })
		}
		all.Wait()
	}
	if out := front.out.String(); !strings.Contains(out, "is lost again and again") {
		t.Error("the front's log has no word of the path")
	}
	begin := time.Now()
	for i := range 20 {
		h.long(visitors[i%len(visitors)], "later", true)
	}
	t.Logf("40 later ones took %v", time.Since(begin).Round(time.Millisecond))

	h.mtu(1500)
	f.until("the node gets long requests again", func() error {
		by, err := h.whoami(4 << 10)
		if err == nil && by != f.nodes[1].name {
			err = fmt.Errorf("served by %s", by)
		}
		return err
	})
}

// inOwnNetwork runs the test once more, in a process that has a network of its own and may shape it.
func inOwnNetwork(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		ci.Missingf(t, "ip, of iproute2")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = ownMounts()
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil && bytes.Contains(out, []byte("--- SKIP")), bytes.Contains(out, []byte(cannotShape)):
		ci.Missingf(t, "leave to shape a network: %s", out)
	case err == nil:
		t.Logf("%s", out)
	case errors.As(err, &ended):
		t.Errorf("%v\n%s", err, out)
	default:
		ci.Missingf(t, "leave to make a network: %v", err)
	}
}

const cannotShape = "cannot shape the network"

// holed is a farm whose first two nodes reach each other over a path of their own, and all others over
// another one.
type holed struct {
	*farm
	client *http.Client
}

// The first bridge is where all nodes and the test are, the second one the path between n1 and n2.
func buildNetwork(t *testing.T, f *farm) *holed {
	t.Helper()
	for i, n := range f.nodes {
		addr := fmt.Sprintf("10.9.0.%d:8080", i+1)
		n.http.Store(&addr)
		n.peer = fmt.Sprintf("10.9.0.%d:7946", i+1)
		n.more = []string{"-join", "10.9.0.2:7946,10.9.0.3:7946"}
	}
	h := &holed{farm: f, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}}
	h.ip("link set lo up", "link add wide type bridge", "addr add 10.9.0.254/24 dev wide", "link set wide up",
		"link add narrow type bridge", "link set narrow up")
	return h
}

// ip has iproute2 do so, one command after the other.
func (h *holed) ip(commands ...string) {
	h.t.Helper()
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			h.t.Fatalf("%s: ip %s: %v: %s", cannotShape, c, err, out)
		}
	}
}

// start starts all nodes, each in a network of its own that waits for its links.
func (h *holed) start() {
	h.t.Helper()
	for i, n := range h.nodes {
		script := fmt.Sprintf("ip link set lo up\n"+
			"link() { until ip link set $1 up gso_max_segs 1 2>/dev/null; do sleep 0.05; done; }\n"+
			"link eth0; ip addr add 10.9.0.%d/24 dev eth0\n", i+1)
		if i < 2 {
			script += fmt.Sprintf("link eth1; ip addr add 10.9.1.%d/24 dev eth1\n"+
				"ip route add 10.9.0.%d/32 via 10.9.1.%d dev eth1 src 10.9.0.%d\n", i+1, 2-i, 2-i, i+1)
		}
		p, err := n.startIn(script+`exec "$0" "$@"`, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
		if err != nil {
			h.t.Fatal(err)
		}
		n.process = p
		h.ip(fmt.Sprintf("link add w%d type veth peer name eth0 netns %d", i, n.pid()),
			fmt.Sprintf("link set w%d master wide up", i))
		if i < 2 {
			h.ip(fmt.Sprintf("link add s%d type veth peer name eth1 netns %d", i, n.pid()),
				fmt.Sprintf("link set s%d master narrow up", i))
		}
	}
}

// mtu sets what the path between n1 and n2 carries. Neither of them hears of it.
func (h *holed) mtu(bytes int) {
	h.t.Helper()
	h.ip(fmt.Sprintf("link set s0 mtu %d", bytes), fmt.Sprintf("link set s1 mtu %d", bytes))
}

// settle waits until the front knows both nodes, and returns visitors with long values in their sessions.
func (h *holed) settle() (visitors []*longVisitor) {
	h.t.Helper()
	for _, n := range h.nodes {
		h.until(n.name+" ready", func() error { return n.ready(h.t.Context()) })
	}
	seen := map[string]bool{}
	h.until("the front knows both nodes", func() error {
		by, err := h.whoami(4 << 10)
		if err == nil {
			seen[by] = true
		}
		if len(seen) < 2 {
			return fmt.Errorf("%v, %v", seen, err)
		}
		return nil
	})
	for i := range 4 {
		v := &longVisitor{name: fmt.Sprintf("visitor %d", i)}
		visitors = append(visitors, v)
		h.until("a long value", func() error { return h.put(v, "at first") })
	}
	return visitors
}

// whoami asks the front who serves, by a request that is longer by so many bytes.
func (h *holed) whoami(longer int) (node string, err error) {
	status, body, err := h.ask(&longVisitor{}, "GET", "/api/whoami", "", longer)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %s", status, body)
	}
	if err != nil {
		return "", err
	}
	var said struct{ Node string }
	return said.Node, json.Unmarshal([]byte(body), &said)
}

// longVisitor has a session with a long value.
type longVisitor struct {
	name    string
	cookies map[string]string
	may     []string // what the value may be: more than one if the outcome of a change is unknown
	n       int      // changes
}

// ask makes a request to the front.
func (h *holed) ask(v *longVisitor, method, path, body string, longer int) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.nodes[0].url()+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, value := range v.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if longer > 0 {
		req.Header.Set("X-Long", strings.Repeat("x", longer))
	}
	res, err := h.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		if v.cookies == nil {
			v.cookies = map[string]string{}
		}
		v.cookies[c.Name] = c.Value
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// put gives the visitor's value another one of 12 KiB.
func (h *holed) put(v *longVisitor, what string) error {
	v.n++
	value := strings.Repeat(fmt.Sprintf("%s %s %d. ", v.name, what, v.n), 12<<10)[:12<<10]
	status, answer, err := h.ask(v, "PUT", "/api/kv/long", value, 0)
	switch {
	case err == nil && status == http.StatusNoContent:
		v.may = []string{value}
		return nil
	case err == nil && status == http.StatusServiceUnavailable: // certainly not done
	default:
		v.may = append(v.may, value)
	}
	return fmt.Errorf("%d %s %w", status, answer, err)
}

// get reads the visitor's value, and fails the test if it is none that it may be.
func (h *holed) get(v *longVisitor) error {
	status, answer, err := h.ask(v, "GET", "/api/kv/long", "", 0)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("%d %.200s %w", status, answer, err)
	}
	if !slices.Contains(v.may, answer) {
		h.t.Errorf("%s has a value of %d bytes that it cannot have: %.40q", v.name, len(answer), answer)
	}
	return nil
}

// longest is how long a request may take whose first packets vanish: what is sent again and again, on a busy
// machine, twice.
const longest = 40 * time.Second

// long reads and changes the visitor's value. A read has to succeed. A change may have an unknown outcome,
// which is said in time.
func (h *holed) long(v *longVisitor, what string, sure bool) {
	begin := time.Now()
	if err := h.get(v); err != nil {
		h.t.Errorf("%s, %s: GET: %v", what, v.name, err)
	}
	read := time.Since(begin)
	err := h.put(v, what)
	if err != nil && sure {
		h.t.Errorf("%s, %s: PUT: %v", what, v.name, err)
	}
	wrote := time.Since(begin) - read
	h.t.Logf("%s, %s: GET %v, PUT %v %v", what, v.name, read.Round(time.Millisecond), wrote.Round(time.Millisecond), err)
	if max(read, wrote) > longest {
		h.t.Errorf("%s, %s: GET took %v, PUT %v", what, v.name, read, wrote)
	}
}
