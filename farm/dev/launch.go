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

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

const formTime = 60 * time.Second // for all nodes to become ready

// Config says what Launch starts.
type Config struct {
	Nodes     int      // how many, 1 to MaxNodes
	Dir       string   // their data and logs; made if it is not there
	HTTP      string   // public address of the first node; the others have the ports above; "" = 127.0.0.1:8081
	TLS       bool     // the public ports speak HTTPS
	ReadyPath string   // is answered with 200 by a node that serves
	Farm      string   // name of the farm
	Secrets   []string // of the farm
}

// launcher starts the nodes as processes of their own and looks after them.
type launcher struct {
	cfg    Config
	out    io.Writer
	paint  Paint
	ports  ports
	nodes  []*child
	http   *http.Client
	admin  *admin.Client
	exits  chan *child
	events chan string
	lines  chan string
}

// Launch starts this program as often as there are to be nodes, with its own arguments; Child tells each process who it is. It
// prints to standard output who is there and what to try, does what is typed at standard input, and tells what happens, until
// ctx ends. Then it lets all nodes stop in order. An error says why the farm could not be started; then nothing is left running.
func Launch(ctx context.Context, cfg Config) (err error) {
	// On Linux the nodes are killed with the thread that started them, so it must live as long as the launcher.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &launcher{cfg: cfg, out: os.Stdout, paint: PaintFor(os.Stdout), exits: make(chan *child, MaxNodes),
		events: make(chan string), lines: make(chan string)}
	l.http = l.client()
	if l.ports, err = claimPorts(cfg.HTTP, cfg.Nodes); err != nil {
		return err
	}
	defer l.ports.release()
	if err := l.prepare(); err != nil {
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
func (l *launcher) prepare() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	n, dir := l.cfg.Nodes, l.cfg.Dir
	if _, err := os.Stat(filepath.Join(dir, "n"+strconv.Itoa(n+1))); err == nil {
		return fmt.Errorf("%s has the data of more than %d nodes, and a farm needs most of its nodes: start as many as before", dir, n)
	}
	var peers []string
	for i := range n {
		peers = append(peers, l.ports.peer(i))
	}
	for i := range n {
		name := "n" + strconv.Itoa(i+1)
		c := &child{program: program, args: os.Args[1:],
			Node: Node{Name: name, HTTP: l.ports.http(i), Peer: peers[i], Join: peers, Dir: filepath.Join(dir, name)}}
		os.Remove(c.logFile()) // of the last run
		l.nodes = append(l.nodes, c)
	}
	l.admin, err = admin.New(admin.Config{Farm: l.cfg.Farm, Secrets: l.cfg.Secrets, Nodes: peers, Timeout: time.Second})
	return errors.Join(err, os.MkdirAll(dir, 0o700))
}

// form waits until every node serves.
func (l *launcher) form(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, formTime,
		fmt.Errorf("the farm has not formed in time: see the logs in %s", l.cfg.Dir))
	defer cancel()
	fmt.Fprintf(l.out, "Starting %d nodes of %s; data and logs are in %s\n", len(l.nodes), Program(), l.cfg.Dir)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for waiting := l.nodes; len(waiting) > 0; {
		select {
		case <-tick.C:
			if l.ready(ctx, waiting[0]) {
				waiting = waiting[1:]
			}
		case c := <-l.exits:
			return fmt.Errorf("%s ended: %v\n%s", c.Name, c.err, c.lastWords(10))
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
	now, _ := l.ask(context.Background()) // without it the roles are missing
	var table strings.Builder
	tab := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tab, "NODE\tURL\tPEER\tPID\tROLE")
	for _, c := range l.nodes {
		role := now.members[c.Name].vote
		if now.leader == c.Name {
			role += ", leader"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%d\t%s\n", c.Name, l.url(c), c.Peer, c.pid(), role)
	}
	tab.Flush()
	head, rows, _ := strings.Cut(table.String(), "\n")
	for _, c := range l.nodes {
		rows = strings.Replace(rows, l.url(c), l.paint.link(l.url(c)), 1)
	}
	fmt.Fprintf(l.out, "\n%s\n%s", l.paint.strong(head), rows)

	first, last := l.nodes[0], l.nodes[len(l.nodes)-1]
	killed := "as kill -9 " + strconv.Itoa(first.pid()) + " does: n1 is gone, what visitors have is not; ask another node"
	if len(l.nodes) < 3 {
		killed = "as kill -9 " + strconv.Itoa(first.pid()) + " does; without n1 sessions can be read and not changed"
	}
	fmt.Fprintf(l.out, `
%s
  open %s, change something, and look at it on %s
  k 1 + Enter   kills n1, %s
  s 2 + Enter   stops n2 in order
  r 1 + Enter   starts n1 again; so do r 2, r 3, ...
  Ctrl-C        ends all nodes

`, l.paint.strong("Try this:"), l.paint.link(l.url(first)), l.paint.link(l.url(last)), killed)
}

// attend does what the person at the terminal says, and tells what happens, until ctx ends.
func (l *launcher) attend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.exits:
			if c.wantsAgain() && ctx.Err() == nil {
				l.startAgain(c)
				continue
			}
			l.say(fmt.Sprintf("%s %s: %s (r %s starts it again)", c.Name, l.paint.bad("ended"), c.how(), c.Name[1:]))
		case event := <-l.events:
			l.say(event)
		case line := <-l.lines:
			if err := l.obey(line); err != nil {
				l.say(err.Error())
			}
		}
	}
}

// startAgain does what a supervisor does with a node that is to be started again.
func (l *launcher) startAgain(c *child) {
	if err := c.start(l.exits); err != nil {
		l.say(err.Error())
		return
	}
	l.say(fmt.Sprintf("%s was to be started again, and is process %d now", c.Name, c.pid()))
}

// obey carries out one line of input.
func (l *launcher) obey(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	i := 0
	if len(words) == 2 && strings.Contains(" r k s ", " "+words[0]+" ") {
		i, _ = strconv.Atoi(words[1]) // 0 is no node
	}
	if i < 1 || i > len(l.nodes) {
		return fmt.Errorf("r (start again), k (kill) or s (stop), and a number from 1 to %d", len(l.nodes))
	}
	c := l.nodes[i-1]
	switch running := c.running(); {
	case words[0] == "r" && running:
		return fmt.Errorf("%s is running as process %d: k %d kills it", c.Name, c.pid(), i)
	case words[0] == "r":
		if err := c.start(l.exits); err != nil {
			return err
		}
		l.say(fmt.Sprintf("%s starts again as process %d", c.Name, c.pid()))
	case !running:
		return fmt.Errorf("%s does not run: r %d starts it again", c.Name, i)
	case words[0] == "k":
		c.kill()
	default:
		c.release()
		l.say(c.Name + " stops")
	}
	return nil
}

func (l *launcher) say(s string) {
	fmt.Fprintf(l.out, "%s  %s\n", l.paint.faint(time.Now().Format(time.TimeOnly)), s)
}

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
