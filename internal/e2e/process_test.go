package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// process is a running shop. It ends with the test at the latest.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	leash io.Closer     // its standard input
	ended chan struct{} // closed when it has ended
	err   error         // how; read it after ended
	out   output
}

// runShop starts the shop with an environment that has no settings of a farm but env.
func runShop(t *testing.T, name string, env []string, args ...string) *process {
	t.Helper()
	bin, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	return runProgram(t, bin, name, env, args...)
}

// runProgram is runShop for a shop that was built of another tree.
func runProgram(t *testing.T, bin, name string, env []string, args ...string) *process {
	t.Helper()
	p, err := startProcess(t, name, env, exec.Command(bin, args...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// startProcess is runShop for a command of any kind.
func startProcess(t *testing.T, name string, env []string, cmd *exec.Cmd) (p *process, err error) {
	t.Helper()
	p = &process{t: t, name: name, cmd: cmd, ended: make(chan struct{})}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FARM_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	tie(p.cmd)
	if p.leash, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	s := start{p.cmd, make(chan error)}
	starts <- s
	if err := <-s.err; err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.finish)
	return p, nil
}

// finish ends the process and judges what it printed.
func (p *process) finish() {
	p.cmd.Process.Kill()
	<-p.ended
	printed := p.out.String()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(printed, bad) {
			p.t.Errorf("%s (process %d) printed %q", p.name, p.pid(), bad)
		}
	}
	if p.t.Failed() {
		p.t.Logf("%s (process %d) ended: %v; it printed:\n%s", p.name, p.pid(), p.err, printed)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// endsWith waits for the process to end, and reports whether this is its exit code.
func (p *process) endsWith(code int) bool {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode() == code
	case <-time.After(patience):
		ci.Latef(p.t, "%s does not end", p.name)
		return false
	}
}

// kill ends the process at once.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write takes what the process prints.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns all that was printed.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
