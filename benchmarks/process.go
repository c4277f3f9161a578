package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// processes starts the servers and workers and ends them. On Linux the kernel ends them, too, should this process die
// without a word; elsewhere the workers notice by their standard input.
type processes struct {
	verbose bool
	starts  chan start

	mu   sync.Mutex
	open map[*process]struct{}
}

type start struct {
	cmd *exec.Cmd
	err chan error
}

// process is a running server or worker.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   io.Reader     // nil for servers
	ended chan struct{} // closed when it has ended
}

func newProcesses(ctx context.Context, verbose bool) *processes {
	p := &processes{verbose: verbose, starts: make(chan start), open: map[*process]struct{}{}}
	go p.starter(ctx)
	return p
}

// starter starts all processes from one thread that stays: the kernel takes the end of the thread for the parent's end.
func (p *processes) starter(ctx context.Context) {
	runtime.LockOSThread()
	for {
		select {
		case s := <-p.starts:
			s.err <- s.cmd.Start()
		case <-ctx.Done():
			return // the thread ends; everybody is stopped by now
		}
	}
}

// server starts a server whose output nobody reads, unless it is asked for.
func (p *processes) server(exe string, args ...string) (*process, error) {
	cmd := exec.Command(exe, args...)
	if p.verbose {
		cmd.Stdout = os.Stderr
	}
	return p.start(cmd)
}

// worker starts exe, a build of this program, as a worker. Its output ends when the process does.
func (p *processes) worker(exe string) (*process, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close() // the worker has its own
	cmd := exec.Command(exe, workerArg)
	cmd.Stdout = in
	pr, err := p.start(cmd)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	pr.out = out
	return pr, nil
}

func (p *processes) start(cmd *exec.Cmd) (pr *process, err error) {
	pr = &process{cmd: cmd, ended: make(chan struct{})}
	if p.verbose {
		cmd.Stderr = os.Stderr
	}
	endWithParent(cmd)
	if pr.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	s := start{cmd, make(chan error)}
	p.starts <- s
	if err := <-s.err; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	p.mu.Lock()
	p.open[pr] = struct{}{}
	p.mu.Unlock()
	go func() {
		cmd.Wait()
		close(pr.ended)
	}()
	return pr, nil
}

// kill ends a process at once, as a crash would.
func (p *processes) kill(pr *process) {
	pr.kill()
	<-pr.ended
	p.mu.Lock()
	delete(p.open, pr)
	p.mu.Unlock()
}

// kill ends a process, and those of nginx that do the work: they would outlive it, and keep its port.
func (pr *process) kill() {
	pids := []int{}
	if filepath.Base(pr.cmd.Path) == "nginx" {
		pids = family(pr.cmd.Process.Pid)[1:]
	}
	pr.cmd.Process.Kill()
	for _, pid := range pids {
		if worker, err := os.FindProcess(pid); err == nil {
			worker.Kill()
		}
	}
}

// stop ends everything that runs.
func (p *processes) stop() {
	p.mu.Lock()
	open := p.open
	p.open = map[*process]struct{}{}
	p.mu.Unlock()
	for pr := range open {
		pr.kill()
	}
	for pr := range open {
		<-pr.ended
	}
}
