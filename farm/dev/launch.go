package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	maxNodes = blockSize - 1
	formTime = 60 * time.Second // for all nodes to become ready
)

// launcher starts the nodes as processes of their own and looks after them.
type launcher struct {
	out    io.Writer
	dir    string
	ports  ports
	nodes  []*child
	exits  chan *child
	events chan string
	lines  chan string
}

var errNotFormed = errors.New("the farm has not formed in time")

// Launch runs n nodes until ctx ends, with data below dir, or in a temporary folder that is removed at the end, unless there is
// something to read in it.
func Launch(ctx context.Context, n int, dir string) (err error) {
	if n < 1 || n > maxNodes {
		return fmt.Errorf("-nodes %d: 1 to %d can be started", n, maxNodes)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "shop-"); err != nil {
			return err
		}
		defer func() {
			if !errors.Is(err, errNotFormed) {
				os.RemoveAll(dir)
			}
		}()
	}
	// On Linux the nodes are killed with the thread that started them, so it must live as long as the launcher.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &launcher{out: os.Stdout, dir: dir, exits: make(chan *child, maxNodes), events: make(chan string),
		lines: make(chan string)}
	if l.ports, err = claimPorts(n); err != nil {
		return err
	}
	defer l.ports.release()
	if err := l.prepare(n); err != nil {
		return err
	}
	defer l.stopAll()
	for _, c := range l.nodes {
		if err := c.start(l.exits); err != nil {
			return err
		}
	}
	if err := l.form(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	l.introduce()
	go l.read(os.Stdin) // ends with the process
	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	go l.follow(follow)
	l.attend(ctx)
	return nil
}

// prepare decides on names, addresses and folders.
func (l *launcher) prepare(n int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for i := range n {
		c := &child{program: program, name: "n" + strconv.Itoa(i+1), http: l.ports.http(i), peer: l.ports.peer(i)}
		c.dir = filepath.Join(l.dir, c.name)
		l.nodes = append(l.nodes, c)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "n"+strconv.Itoa(n+1))); err == nil {
		return fmt.Errorf("%s has the data of more than %d nodes, and a farm needs most of its nodes: start as many as before",
			l.dir, n)
	}
	var peers []string
	for _, c := range l.nodes {
		peers = append(peers, c.peer)
	}
	for _, c := range l.nodes {
		c.join = peers
	}
	return os.MkdirAll(l.dir, 0o755)
}

// form waits until every node serves.
func (l *launcher) form(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, formTime, fmt.Errorf("%w: see the logs in %s", errNotFormed, l.dir))
	defer cancel()
	fmt.Fprintf(l.out, "Starting %d nodes; data and logs are in %s\n", len(l.nodes), l.dir)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for waiting := l.nodes; len(waiting) > 0; {
		select {
		case <-tick.C:
			if waiting[0].ready(ctx) {
				waiting = waiting[1:]
			}
		case c := <-l.exits:
			return fmt.Errorf("%s ended: %v\n%s", c.name, c.err, c.lastWords(10))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return nil
		}
	}
	return nil
}

// introduce prints who is there and what to try.
func (l *launcher) introduce() {
	view, _ := l.ask(context.Background()) // without it the roles are missing
	tab := tabwriter.NewWriter(l.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tab, "\nNODE\tURL\tPEER\tPID\tROLE")
	for _, c := range l.nodes {
		role := ""
		for _, m := range view.Members {
			if m.Name == c.name {
				role = m.Role
			}
		}
		if view.Leader == c.name {
			role += ", leader"
		}
		fmt.Fprintf(tab, "%s\thttp://%s\t%s\t%d\t%s\n", c.name, c.http, c.peer, c.pid(), role)
	}
	tab.Flush()
	first, last := l.nodes[0], l.nodes[len(l.nodes)-1]
	killed := first.name + " is gone, the cart is not: ask another node"
	if len(l.nodes) < 3 {
		killed = first.name + " is gone, and without it carts cannot be changed: start it again"
	}
	fmt.Fprintf(l.out, `
Try this:
  open http://%s and fill the cart, then look at http://%s/cart
  kill -9 %-8d  %s
  r 1 + Enter       starts n1 again; so do r 2, r 3, ...
  Ctrl-C            ends all nodes

`, first.http, last.http, first.pid(), killed)
}

// attend does what the person at the terminal says, and tells what happens, until ctx ends.
func (l *launcher) attend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.exits:
			l.say(fmt.Sprintf("%s ended: %s (r %s starts it again)", c.name, c.how(), c.name[1:]))
		case event := <-l.events:
			l.say(event)
		case line := <-l.lines:
			if err := l.obey(line); err != nil {
				l.say(err.Error())
			}
		}
	}
}

// obey carries out one line of input.
func (l *launcher) obey(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	i, err := 0, error(nil)
	if len(words) == 2 && words[0] == "r" {
		i, err = strconv.Atoi(words[1])
	}
	if err != nil || i < 1 || i > len(l.nodes) {
		return fmt.Errorf("r and a number from 1 to %d starts a node again", len(l.nodes))
	}
	c := l.nodes[i-1]
	if c.running() {
		return fmt.Errorf("%s is running: kill -9 %d", c.name, c.pid())
	}
	if err := c.start(l.exits); err != nil {
		return err
	}
	l.say(fmt.Sprintf("%s starts again as process %d", c.name, c.pid()))
	return nil
}

func (l *launcher) say(s string) { fmt.Fprintf(l.out, "%s  %s\n", time.Now().Format(time.TimeOnly), s) }

func (l *launcher) read(in io.Reader) {
	for s := bufio.NewScanner(in); s.Scan(); {
		l.lines <- s.Text()
	}
}

// stopAll lets all nodes stop in order, at the same time.
func (l *launcher) stopAll() {
	fmt.Fprintln(l.out, "\nEnding all nodes")
	for _, c := range l.nodes {
		c.release()
	}
	for _, c := range l.nodes {
		c.wait()
	}
}

// client talks to the nodes.
var client = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
