package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// stopTime is how long a node may take to stop in order: 25 s for requests that run, and then to hand over what it leads.
const stopTime = time.Minute

// child is a node in a process of its own. Its standard input is its leash: when that ends, because the launcher lets go
// of it or has died in whatever way, the node stops.
type child struct {
	Node
	program string
	args    []string

	cmd   *exec.Cmd
	leash io.Closer
	ended chan struct{} // closed when the process has ended
	err   error         // how; read it after ended
}

func (c *child) logFile() string { return c.Dir + ".log" }

// start starts the process and tells exits when it has ended.
func (c *child) start(exits chan<- *child) error {
	who, err := json.Marshal(c.Node)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	c.cmd = exec.Command(c.program, c.args...)
	c.cmd.Env = append(os.Environ(), variable+"="+string(who))
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = apart()
	if c.leash, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.Name, err)
	}
	c.ended = make(chan struct{})
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
		exits <- c
	}()
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// kill ends the process at once.
func (c *child) kill() { c.cmd.Process.Kill() }

// release lets the node stop in order.
func (c *child) release() {
	if c.leash != nil {
		c.leash.Close()
	}
}

// wait returns when the process has ended; one that does not stop is killed.
func (c *child) wait() {
	if c.ended == nil {
		return
	}
	select {
	case <-c.ended:
	case <-time.After(stopTime):
		c.kill()
		<-c.ended
	}
}

// wantsAgain reports whether the process has ended so that it is to be started again.
func (c *child) wantsAgain() bool {
	var exit *exec.ExitError
	return errors.As(c.err, &exit) && exit.ExitCode() == order.ExitRestart
}

// how says how the process has ended: with what it said itself, if it was by its own will.
func (c *child) how() string {
	var exit *exec.ExitError
	if errors.As(c.err, &exit) && exit.ExitCode() > 0 {
		return c.lastWords(1)
	}
	return c.cmd.ProcessState.String()
}

// lastWords returns the last n lines of the node's log.
func (c *child) lastWords(n int) string {
	b, err := os.ReadFile(c.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
