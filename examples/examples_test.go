// Package examples_test builds the examples, runs them as the processes they are, and talks to them.
// Slow: processes are built, and nodes listen for three seconds before they found a farm.
package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

const patience = 2 * time.Minute // longer than the launcher has for its nodes

func TestMain(m *testing.M) {
	ci.Beside(2) // they wait for processes
	os.Exit(ci.Main(m))
}

// programs are all examples, built once.
var programs struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of an example's binary.
func program(t *testing.T, name string) string {
	t.Helper()
	instrumented(t)
	p := &programs
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "examples-"); p.err != nil {
			return
		}
		build := exec.Command("go", "build", "-buildvcs=false", "-o", p.dir+string(filepath.Separator), "./...")
		if out, err := build.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.dir, name)
}

// instrumented skips a test of processes under the race detector: they have none in them. Those of internal/e2e have.
func instrumented(t *testing.T) {
	t.Helper()
	if race.Enabled {
		t.Skip("the programs have no race detector in them")
	}
}

// process is a running example.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error // how it ended; read it after ended

	mu  sync.Mutex
	out bytes.Buffer // what it printed; guarded by mu
}

// start runs a program until the test ends.
func start(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	return startIn(t, nil, bin, args...)
}

// startIn is start with more in the environment.
func startIn(t *testing.T, env []string, bin string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(bin, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "FARM_") {
			p.cmd.Env = append(p.cmd.Env, line)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(bin), p.printed())
		}
	})
	return p
}

// Write collects what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// interrupt is Ctrl-C; the process must then end well.
func (p *process) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	p.ends()
	if p.err != nil {
		p.t.Errorf("it ended with %v", p.err)
	}
}

func (p *process) ends() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		ci.Latef(p.t, "it does not end")
	}
}

// freeAddr returns an address on loopback that nobody uses, and that nobody else is given.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// visitor is a client with cookies. It shares no connections with others.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
}

// call makes a request and returns status and body.
func call(c *http.Client, method, url, body string) (int, string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// want makes a request and checks its answer.
func want(t *testing.T, c *http.Client, method, url, body string, status int, answer string) {
	t.Helper()
	code, got, err := call(c, method, url, body)
	if err != nil || code != status || strings.TrimSpace(got) != answer {
		t.Fatalf("%s %s: %d %q, %v; want %d %q", method, url, code, got, err, status, answer)
	}
}

// answers waits until a GET is answered with 200.
func answers(t *testing.T, url string) {
	t.Helper()
	eventually(t, func() bool {
		code, _, err := call(visitor(t), "GET", url, "")
		return err == nil && code == http.StatusOK
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			ci.Latef(t, "waited in vain")
		}
	}
}

func TestHello(t *testing.T) {
	t.Parallel()
	bin, addr := program(t, "hello"), freeAddr(t)
	p := start(t, bin, "-http", addr)
	answers(t, "http://"+addr+"/readyz")
	c := visitor(t)
	want(t, c, "GET", "http://"+addr+"/", "", 200, "visit 1")
	want(t, c, "GET", "http://"+addr+"/", "", 200, "visit 2") // Secure cookies go over plain HTTP to loopback
	want(t, visitor(t), "GET", "http://"+addr+"/", "", 200, "visit 1")
	p.interrupt()
}

// What another start cannot help has an exit code of its own, for supervisors.
func TestHello_ExitCode(t *testing.T) {
	t.Parallel()
	p := start(t, program(t, "hello"), "-http", "127.0.0.1:0", "-peer", "0.0.0.0:0")
	p.ends()
	if code := p.cmd.ProcessState.ExitCode(); code != 78 || !strings.Contains(p.printed(), "needs a secret") {
		t.Errorf("exit code %d, %s", code, p.printed())
	}
}

// With -dev a program is a farm of one, at once. Its data is in the user's cache directory and found again; where its port is
// taken it has the next one; a second one beside it says what is in its way.
func TestHello_Dev(t *testing.T) {
	t.Parallel()
	bin, cache := program(t, "hello"), t.TempDir()
	env := []string{"HOME=" + cache, "XDG_CACHE_HOME=" + cache, "LocalAppData=" + cache}
	taken, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	run := func() (p *process, url string) {
		t.Helper()
		p = startIn(t, env, bin, "-dev", "-http", taken.Addr().String())
		eventually(t, func() bool { return site.MatchString(p.printed()) && strings.Contains(p.printed(), "Ctrl-C") })
		return p, site.FindStringSubmatch(p.printed())[1]
	}
	c := visitor(t)
	p, at := run()
	if at == "http://"+taken.Addr().String() || !strings.Contains(p.printed(), "is taken") {
		t.Errorf("the site is at %s", at)
	}
	if strings.Contains(p.printed(), "\x1b") {
		t.Error("colours where there is no terminal")
	}
	if dir := filepath.Join("webfarm", "hello", "1"); !strings.Contains(p.printed(), dir) {
		t.Errorf("it does not say that its data is in %s", dir)
	}
	if line, _, _ := strings.Cut(p.printed(), "\n"); !json.Valid([]byte(line)) {
		t.Errorf("logs where there is no terminal: %s", line)
	}
	want(t, c, "GET", at+"/", "", 200, "visit 1")
	want(t, c, "GET", at+"/", "", 200, "visit 2")

	second := startIn(t, env, bin, "-dev")
	second.ends()
	if second.err == nil || !strings.Contains(second.printed(), "in use by") {
		t.Errorf("a second one: %v, %s", second.err, second.printed())
	}
	p.interrupt()
	_, at = run()
	want(t, c, "GET", at+"/", "", 200, "visit 3")
}

func TestPlainserver(t *testing.T) {
	t.Parallel()
	bin, addr := program(t, "plainserver"), freeAddr(t)
	p := start(t, bin, "-http", addr)
	answers(t, "http://"+addr+"/readyz")
	c := visitor(t)
	want(t, c, "GET", "http://"+addr+"/", "", 200, "hello, stranger")
	want(t, c, "POST", "http://"+addr+"/name?name=Ada", "", 204, "")
	want(t, c, "GET", "http://"+addr+"/", "", 200, "hello, Ada")
	p.interrupt()
}

func TestSessiononly(t *testing.T) {
	t.Parallel()
	bin := program(t, "sessiononly")
	peer, a, b := freeAddr(t), freeAddr(t), freeAddr(t)
	first := start(t, bin, "-http", a, "-peer", peer)
	second := start(t, bin, "-http", b, "-join", peer)
	answers(t, "http://"+a+"/")
	answers(t, "http://"+b+"/")
	c := visitor(t)
	for i := range 6 { // without sticky balancing
		want(t, c, "GET", "http://"+[]string{a, b}[i%2]+"/", "", 200, fmt.Sprintf("visit %d", i+1))
	}
	second.interrupt()
	first.interrupt()
}

// shop is a running launcher.
type shop struct {
	*process
	nodes []shopNode
}

type shopNode struct {
	name, url string
	pid       int
}

var tableRow = regexp.MustCompile(`(?m)^(n\d)\s+(http://\S+)\s+\S+\s+(\d+)\s`)

// site is the line that a farm of one introduces itself with.
var site = regexp.MustCompile(`(?m)^  site  (http://\S+)`)

// startShop starts the shop, with its data in a directory of the test's where args do not name one.
func startShop(t *testing.T, args ...string) *shop {
	t.Helper()
	return startShopBy(t, program(t, "shop"), args...)
}

func startShopBy(t *testing.T, program string, args ...string) *shop {
	t.Helper()
	if !slices.Contains(args, "-dir") {
		args = append(args, "-dir", t.TempDir())
	}
	s := &shop{process: start(t, program, args...)}
	eventually(t, func() bool {
		select {
		case <-s.ended:
			t.Fatal("it ended")
		default:
		}
		return strings.Contains(s.printed(), "Try this") || strings.Contains(s.printed(), "Ctrl-C")
	})
	if m := site.FindStringSubmatch(s.printed()); m != nil {
		s.nodes = append(s.nodes, shopNode{"", m[1], s.cmd.Process.Pid})
	}
	for _, m := range tableRow.FindAllStringSubmatch(s.printed(), -1) {
		pid, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		s.nodes = append(s.nodes, shopNode{m[1], m[2], pid})
	}
	return s
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The main job: three real processes; any of them may be killed, and no cart is lost.
func TestShop(t *testing.T) {
	s := startShop(t, "-report", "* * * * * *")
	if len(s.nodes) != 3 {
		t.Fatalf("nodes %v", s.nodes)
	}
	c := visitor(t)
	want(t, c, "POST", s.nodes[0].url+"/api/cart?sku=mug", "", 200, `{"items":{"mug":1}}`)
	want(t, c, "POST", s.nodes[1].url+"/api/cart?sku=mug", "", 200, `{"items":{"mug":2}}`)
	want(t, c, "GET", s.nodes[2].url+"/api/cart", "", 200, `{"items":{"mug":2}}`)

	wrote(t, s.nodes[0].url, time.Time{})
	restocker := restocks(t, s.nodes[0].url, "")
	leader := leaderOf(t, s.nodes[0].url)
	agree(t, s.nodes[leader[1]-'1'].url)
	var left []shopNode
	for _, n := range s.nodes {
		if n.name == leader {
			kill(t, n.pid)
		} else {
			left = append(left, n)
		}
	}
	want(t, c, "GET", left[0].url+"/api/cart", "", 200, `{"items":{"mug":2}}`)
	mugs := addMug(t, c, left[0].url, 2)
	if restocker == leader {
		restocks(t, left[0].url, leader)
	}
	wrote(t, left[0].url, time.Now())
	eventually(t, func() bool { return strings.Contains(s.printed(), leader+" ended") })

	fmt.Fprintf(s.stdin, "r %s\n", leader[1:])
	eventually(t, func() bool { return strings.Contains(s.printed(), leader+" starts again") })
	back := s.nodes[int(leader[1]-'1')]
	answers(t, back.url+"/readyz")
	want(t, c, "GET", back.url+"/api/cart", "", 200, mugs)
	fmt.Fprintln(s.stdin, "r 9")
	eventually(t, func() bool { return strings.Contains(s.printed(), "a number from 1 to 3") })

	s.interrupt()
	for _, n := range s.nodes {
		code, body, err := call(c, "GET", n.url+"/api/cart", "")
		if err == nil && code == 200 && strings.TrimSpace(body) == mugs { // another shop may have its ports by now, but not its carts
			t.Errorf("%s answers after the end", n.name)
		}
	}
}

type working struct {
	Report struct {
		Runs []struct {
			Time          time.Time
			Node, Outcome string
		}
	}
	Restock struct{ Node string }
}

// works waits until what a node says of who works is as wanted.
func works(t *testing.T, url string, wanted func(working) bool) (v working) {
	t.Helper()
	eventually(t, func() bool {
		_, body, err := call(visitor(t), "GET", url+"/api/work", "")
		v = working{}
		return err == nil && json.Unmarshal([]byte(body), &v) == nil && wanted(v)
	})
	return v
}

// restocks waits until a node that is not the one named restocks, and returns its name.
func restocks(t *testing.T, url, not string) string {
	t.Helper()
	return works(t, url, func(v working) bool { return v.Restock.Node != "" && v.Restock.Node != not }).Restock.Node
}

// wrote waits until a node has written the report of a time after that.
func wrote(t *testing.T, url string, after time.Time) {
	t.Helper()
	works(t, url, func(v working) bool {
		return len(v.Report.Runs) > 0 && v.Report.Runs[0].Time.After(after) && v.Report.Runs[0].Outcome == "succeeded"
	})
}

// addMug puts a mug into a cart that has so many, and returns what the cart is then. There is a new leader within a second; on a
// busy machine the site may say that it has none yet, or, if that one is gone as well, that it cannot tell what it has done.
func addMug(t *testing.T, c *http.Client, url string, had int) (cart string) {
	t.Helper()
	most := had // what the cart may hold by now
	eventually(t, func() bool {
		code, body, err := call(c, "POST", url+"/api/cart?sku=mug", "")
		if err != nil {
			t.Fatal(err)
		}
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "no leader has answered") {
			most++
		}
		cart = strings.TrimSpace(body)
		return code != http.StatusServiceUnavailable
	})
	var v struct{ Items map[string]int }
	if err := json.Unmarshal([]byte(cart), &v); err != nil || v.Items["mug"] <= had || v.Items["mug"] > most {
		t.Fatalf("%s, %v; want %d to %d mugs", cart, err, had+1, most)
	}
	return cart
}

type member struct {
	Name, Status, Role, HTTP string
	Applied                  uint64
}

// agree waits until all have applied what the leader, who is asked, has.
func agree(t *testing.T, url string) {
	t.Helper()
	eventually(t, func() bool {
		var v struct{ Members []member }
		_, body, err := call(visitor(t), "GET", url+"/api/farm", "")
		behind := func(m member) bool { return m.Applied != v.Members[0].Applied }
		return err == nil && json.Unmarshal([]byte(body), &v) == nil && len(v.Members) == 3 && !slices.ContainsFunc(v.Members, behind)
	})
}

func leaderOf(t *testing.T, url string) string {
	t.Helper()
	var v struct {
		Leader  string
		Members []member
	}
	unwell := func(m member) bool { // what a node has applied is heard with the next probe
		return m.Status != "alive" || m.Role != "voter" || m.HTTP == "" || m.Applied == 0
	}
	eventually(t, func() bool {
		_, body, err := call(visitor(t), "GET", url+"/api/farm", "")
		return err == nil && json.Unmarshal([]byte(body), &v) == nil && v.Leader != "" && len(v.Members) == 3 &&
			!slices.ContainsFunc(v.Members, unwell)
	})
	return v.Leader
}

// The JSON contract and the pages, on one node; -dir keeps what was there.
func TestShop_InterfaceAndDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startShop(t, "-nodes", "1", "-name", "n1", "-dir", dir)
	c, at := visitor(t), s.nodes[0].url
	want(t, c, "GET", at+"/api/whoami", "", 200, `{"node":"n1","forwarded":false}`)
	want(t, c, "GET", at+"/api/count", "", 200, `{"count":0}`)
	want(t, c, "POST", at+"/api/count", "", 200, `{"count":1}`)
	want(t, c, "GET", at+"/api/count", "", 200, `{"count":1}`)
	want(t, c, "GET", at+"/api/cart", "", 200, `{"items":{}}`)
	want(t, c, "POST", at+"/api/cart?sku=X", "", 200, `{"items":{"X":1}}`)
	want(t, c, "POST", at+"/api/cart", "", 400, `{"error":"a sku has 1 to 60 bytes of printable text"}`)
	want(t, c, "GET", at+"/api/kv/k", "", 404, `{"error":"no such value"}`)
	want(t, c, "PUT", at+"/api/kv/k", "a\x00b", 204, "")
	want(t, c, "GET", at+"/api/kv/k", "", 200, "a\x00b")
	want(t, c, "PUT", at+"/api/kv/"+strings.Repeat("k", 61), "", 400, `{"error":"a key has 1 to 60 bytes of printable text"}`)
	want(t, c, "PUT", at+"/api/kv/k", strings.Repeat("x", 16000), 204, "")
	for _, size := range []int{16 << 10, 17 << 10, 1 << 20} {
		code, _, err := call(c, "PUT", at+"/api/kv/k", strings.Repeat("x", size))
		if code != 413 && (err == nil || size < 1<<20) { // a client that goes on sending may lose the answer: RFC 9112, 9.6
			t.Errorf("%d bytes: %d, %v", size, code, err)
		}
	}
	want(t, c, "HEAD", at+"/api/kv/k", "", 200, "")
	want(t, c, "GET", at+"/api/kv/k", "", 200, strings.Repeat("x", 16000))
	keys(t, c, at)
	pages(t, c, at)

	s.interrupt()
	s = startShop(t, "-nodes", "1", "-dir", dir)
	base, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := url.Parse(s.nodes[0].url)
	if err != nil {
		t.Fatal(err)
	}
	c.Jar.SetCookies(again, c.Jar.Cookies(base)) // the same host, whatever the port
	want(t, c, "GET", again.String()+"/api/count", "", 200, `{"count":1}`)
	want(t, c, "DELETE", again.String()+"/api/session", "", 204, "")
	want(t, c, "GET", again.String()+"/api/count", "", 200, `{"count":0}`)
	s.interrupt()
}

// keys tries those that can be written in more than one way.
func keys(t *testing.T, c *http.Client, at string) {
	t.Helper()
	ways := map[string][]string{ // what stands for one key
		"ü":   {"ü", "%C3%BC", "%c3%bc"},
		"a/b": {"a%2Fb", "a%2fb", "%61%2Fb"},
		"a%b": {"a%25b"}, "a%2Fb": {"a%252Fb"},
		"a!b": {"a!b", "a%21b"},
		"..":  {"%2E%2E"},
		" ":   {"%20"},
	}
	for key, written := range ways {
		want(t, c, "PUT", at+"/api/kv/"+written[0], key, 204, "")
	}
	for key, written := range ways {
		for _, w := range written {
			want(t, c, "GET", at+"/api/kv/"+w, "", 200, strings.TrimSpace(key))
		}
	}
	for _, w := range []string{"%00", "%ff", "%C3%BC%ff", "%0A"} {
		want(t, c, "PUT", at+"/api/kv/"+w, "", 400, `{"error":"a key has 1 to 60 bytes of printable text"}`)
	}
}

// pages uses the shop as a browser does.
func pages(t *testing.T, c *http.Client, at string) {
	t.Helper()
	for path, words := range map[string]string{
		"/":          "Desk lamp",
		"/farm":      "leader",
		"/work":      "restocks the shelves",
		"/style.css": "--leaf",
	} {
		if code, body, err := call(c, "GET", at+path, ""); err != nil || code != 200 || !strings.Contains(body, words) {
			t.Errorf("%s: %d, %v, %.200q", path, code, err, body)
		}
	}
	res, err := c.PostForm(at+"/cart", url.Values{"sku": {"lamp"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.Request.URL.Path != "/" { // after the redirect
		t.Errorf("adding: %d at %s", res.StatusCode, res.Request.URL)
	}
	if _, body, _ := call(c, "GET", at+"/cart", ""); !strings.Contains(body, "€ 54.50") {
		t.Errorf("cart: %s", body)
	}
	req, err := http.NewRequest("POST", at+"/cart?sku=lamp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	if res, err = c.Do(req); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %d", res.StatusCode)
	}
}

// Any program can be several processes. However the launcher dies, they do not outlive it.
func TestHello_LauncherKilled(t *testing.T) {
	dir := t.TempDir()
	s := startShopBy(t, program(t, "hello"), "-dev", "-nodes", "3", "-dir", dir)
	for keys, words := range map[string]string{"k 1": "n1 ended: ", "s 2": "n2 stops", "k 7": "a number from 1 to 3"} {
		fmt.Fprintln(s.stdin, keys)
		eventually(t, func() bool { return strings.Contains(s.printed(), words) })
	}
	s.cmd.Process.Kill()
	s.ends()
	for _, n := range s.nodes {
		eventually(t, func() bool {
			_, _, err := call(visitor(t), "GET", n.url+"/livez", "")
			return err != nil
		})
	}
}

// The same where "go run" has started the launcher and is killed.
func TestShop_GoRunKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		ci.Missingf(t, "a system that tells a process of the end of its parent")
	}
	instrumented(t)
	s := startShopBy(t, "go", "run", "./shop", "-nodes", "1")
	s.cmd.Process.Kill()
	s.ends() // which is when nobody can write to its output any more
	if _, _, err := call(visitor(t), "GET", s.nodes[0].url+"/livez", ""); err == nil {
		t.Error("a node outlives it")
	}
}

// A node by itself, on its leash: it stops in order when standard input ends, on every system.
func TestShop_NodeOnLeash(t *testing.T) {
	t.Parallel()
	bin, addr := program(t, "shop"), freeAddr(t)
	p := start(t, bin, "-node", "-leashed", "-name", "n1", "-http", addr)
	answers(t, "http://"+addr+"/readyz")
	p.stdin.Close()
	p.ends()
	if p.err != nil {
		t.Error(p.err)
	}
}

// The shop is its own operator's tool: the same binary, with the same environment as a node.
func TestShop_Farmctl(t *testing.T) {
	t.Parallel()
	bin, addr, peer := program(t, "shop"), freeAddr(t), freeAddr(t)
	start(t, bin, "-node", "-name", "till", "-http", addr, "-peer", peer)
	answers(t, "http://"+addr+"/readyz")
	p := start(t, bin, "farm", "members", "-node", peer)
	p.ends()
	if p.err != nil || !strings.Contains(p.printed(), "till") || !strings.Contains(p.printed(), "leader") {
		t.Errorf("shop farm members: %v, %s", p.err, p.printed())
	}
	p = start(t, bin, "farm", "backup")
	p.ends()
	if p.err == nil || p.cmd.ProcessState.ExitCode() != 2 || !strings.Contains(p.printed(), "shop farm: it is: shop farm backup FILE|-") {
		t.Errorf("shop farm backup: %v, %s", p.err, p.printed())
	}
}

// Prices and the banner change while the shop runs; what nobody could sell by is refused; a change can be taken back.
func TestShop_Settings(t *testing.T) {
	t.Parallel()
	bin, addr, peer := program(t, "shop"), freeAddr(t), freeAddr(t)
	start(t, bin, "-node", "-name", "till", "-http", addr, "-peer", peer)
	answers(t, "http://"+addr+"/readyz")
	for _, step := range []struct{ args, says, page string }{
		{"set site prices.tea 1500 -m harvest", "Epoch 1 is in force", "€ 15.00"},
		{"set site banner Tea-week", "Epoch 2 is in force", "Tea-week"},
		{"set site prices.tea free", `prices.tea: is the text "free"`, "€ 15.00"},
		{"set site prices.tea 0", "nothing is for free here", "€ 15.00"},
		{"set site prices.teapot 10", `there is no "teapot" to have a price`, "€ 15.00"},
		{"unset site prices.tea", "Epoch 3 is in force", "€ 14.50"},
		{"rollback 1", "Epoch 4 is in force", "€ 15.00"},
	} {
		p := start(t, bin, append([]string{"farm", "config", "-node", peer}, strings.Fields(step.args)...)...)
		p.ends()
		if !strings.Contains(p.printed(), step.says) {
			t.Errorf("%s: %v, %s", step.args, p.err, p.printed())
		}
		code, body, err := call(visitor(t), "GET", "http://"+addr+"/", "")
		if err != nil || code != 200 || !strings.Contains(body, step.page) {
			t.Errorf("after %s the front page is %d %v, without %q", step.args, code, err, step.page)
		}
	}
}

func TestShop_Usage(t *testing.T) {
	t.Parallel()
	bin, two := program(t, "shop"), t.TempDir()
	if err := os.Mkdir(filepath.Join(two, "n3"), 0o700); err != nil {
		t.Fatal(err)
	}
	for words, args := range map[string][]string{
		"shop: farm: -nodes 10: 1 to 9":                       {"-nodes", "10"},
		"shop: farm: -dev -nodes sets its nodes up itself":    {"-name", "n1"},
		"shop: farm: -dev is a farm of its own":               {"-join", "127.0.0.1:7951"},
		"shop: farm: -dev is for this machine alone":          {"-http", "0.0.0.0:8080"},
		"shop: farm: -nodes 2 is for -dev":                    {"-node", "-nodes", "2"},
		"shop: farm: " + two + " has the data of more than 2": {"-nodes", "2", "-dir", two},
		`shop: what is "serve"`:                               {"serve"},
	} {
		p := start(t, bin, args...)
		p.ends()
		if p.err == nil || !strings.HasPrefix(p.printed(), words) {
			t.Errorf("%v: %v, %s; want %q", args, p.err, p.printed(), words)
		}
	}
}
