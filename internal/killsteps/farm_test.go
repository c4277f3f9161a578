package killsteps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// patience is for how long something is waited for that may take seconds on a machine that is quiet.
const patience = 2 * time.Minute

// process is a node as the test sees it, over all its lives.
type process struct {
	setup
	t     *testing.T
	out   output
	cmd   *exec.Cmd
	leash io.Closer
	ended chan struct{} // closed when the present life has ended
}

// output collects what the lives of a process print.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// three starts a farm of three processes with data directories, and waits until they are ready.
func three(t *testing.T) (all []*process) {
	t.Helper()
	var peers []string
	for i := range 3 {
		p := &process{t: t, setup: setup{Name: fmt.Sprintf("n%d", i+1), HTTP: addr(t), Peer: addr(t), Control: addr(t),
			Dir: t.TempDir()}}
		peers, all = append(peers, p.Peer), append(all, p)
	}
	for _, p := range all {
		p.Join = peers
		p.start()
	}
	for _, p := range all {
		p.await("it is ready", func(s state) bool { return s.Ready })
	}
	return all
}

func addr(t *testing.T) string {
	t.Helper()
	a, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// program returns this test as another program.
func program(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FARM_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, roleEnv+"="+role)
	return cmd
}

func (p *process) start() {
	p.t.Helper()
	b, err := json.Marshal(p.setup)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = program(p.t, roleNode)
	p.cmd.Env = append(p.cmd.Env, setupEnv+"="+string(b))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if p.leash, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if p.t.Failed() && cmd == p.cmd {
			p.t.Logf("%s printed:\n%s", p.Name, p.out.String())
		}
	})
}

// ask asks a process by its own port.
func (p *process) ask(method, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.Control+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if answer == nil || res.StatusCode != http.StatusOK {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

func (p *process) state() (s state, err error) { return s, p.ask(http.MethodGet, "/state", nil, &s) }

func (p *process) arm(a arm) {
	p.t.Helper()
	if err := p.ask(http.MethodPost, "/arm", a, nil); err != nil {
		p.t.Fatalf("%s: %v", p.Name, err)
	}
}

// await waits until something is so, and returns what the process says then.
func (p *process) await(what string, so func(state) bool) state {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s, err := p.state()
		if err == nil && so(s) {
			return s
		}
		if time.Now().After(end) {
			ci.Latef(p.t, "%s: %s: it is not so: %+v, %v", p.Name, what, s, err)
		}
	}
}

// leader returns the process that leads, as it says itself, and the others.
func leader(t *testing.T, all []*process) (leads *process, others []*process) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		leads, others = nil, nil
		for _, p := range all {
			if s, err := p.state(); err == nil && s.Leads && leads == nil {
				leads = p
			} else {
				others = append(others, p)
			}
		}
		if leads != nil {
			return leads, others
		}
		if time.Now().After(end) {
			ci.Latef(t, "nobody leads")
		}
	}
}

// blobs is how many files a release has beside its page.
const blobs = 40

// write writes the folder of a release with this number.
func write(t *testing.T, number int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string][]byte{page: []byte(strconv.Itoa(number)),
		"config/site.yaml": fmt.Appendf(nil, "number: %d\n", number)}
	rng := rand.NewChaCha8([32]byte{byte(number), byte(number >> 8)})
	for i := range blobs {
		b := make([]byte, 64<<10)
		rng.Read(b)
		files[fmt.Sprintf("public/%d.bin", i)] = b
	}
	for name, b := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// publishing is a publication that has begun.
type publishing struct {
	t     *testing.T
	by    string
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

// publish begins to publish a folder by a process.
func (p *process) publish(dir string, flags ...string) *publishing {
	p.t.Helper()
	cmd := program(p.t, roleCtl, append(append([]string{"publish", "-node", p.Peer}, flags...), dir)...)
	pub := &publishing{p.t, p.Name, cmd, &output{}, make(chan struct{})}
	cmd.Stdout, cmd.Stderr = pub.out, pub.out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(pub.ended)
	}()
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		<-pub.ended
	})
	return pub
}

// wait returns what is said, and the exit code.
func (p *publishing) wait() (out string, code int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		ci.Latef(p.t, "publish by %s does not end: %s", p.by, p.out)
	}
	return p.out.String(), p.cmd.ProcessState.ExitCode()
}
