// Command benchmarks measures what writing to a farm costs, beside the systems that people would otherwise use for the
// same. It starts three processes of Webfarm, and whatever it finds installed of etcd, redis-server and nats-server, has
// all of them do the same work in turns, and prints a table of medians. What else it measures (locks, forwarding,
// releases, pages) is in README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/tempdir"
)

// bench is what to measure, and how.
type bench struct {
	modes    []string
	systems  []string // names of kinds
	other    string   // another build of this program
	rounds   int
	duration time.Duration
	writers  []int
	ways     []string // of modeForward and modeStreams
	clients  int
	rate     int // of all of them together; 0 = as fast as they are answered only
	idle     int // streams
	settle   time.Duration
	kills    int
	held     time.Duration // of a lock that is handed over
	nodes    int           // of modeVisible
	changes  int           // in each round of it
	files    int           // of modePublish
	sizes    []int         // of farms, for it
	dir      string
	plot     string
	profiles string
	verbose  bool
	out      io.Writer
}

func main() {
	if is, err := child(os.Args); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	b, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// child does what a process does that another one of this program has started.
func child(args []string) (is bool, err error) {
	if len(args) < 2 {
		return false, nil
	}
	switch args[1] {
	case workerArg:
		return true, work(os.Stdin, os.Stdout)
	case webserverArg:
		return true, runWebserver(args[2:])
	}
	return false, nil
}

func parse(args []string) (b bench, err error) {
	fs := flag.NewFlagSet("benchmarks", flag.ExitOnError)
	modes := fs.String("mode", "durable,memory,failover", "what to measure; also locks, visible, publish, "+
		"content, forward, streams")
	systems := fs.String("systems", "webfarm,etcd,redis,nats", "whom; who is not installed is left out")
	ways := fs.String("ways", strings.Join(allWays, ","), "forward, streams: whom; the first is compared with the others")
	fs.IntVar(&b.clients, "clients", 64, "forward: concurrent clients")
	fs.IntVar(&b.rate, "rate", 2000, "forward: requests per second where the rate is fixed; 0 = do not measure that")
	fs.IntVar(&b.idle, "idle", 10000, "streams: how many")
	fs.DurationVar(&b.settle, "settle", 3*time.Second, "streams: how long they are left alone before memory is measured")
	writers := fs.String("writers", "1,64,512", "numbers of concurrent writers")
	fs.IntVar(&b.rounds, "rounds", 5, "rounds; figures are medians of them")
	fs.DurationVar(&b.duration, "for", 3*time.Second,
		"how long each system works in each round, after a warm-up of a quarter of it")
	fs.IntVar(&b.kills, "kills", 20, "failover, locks: how often the leader, and a follower, is killed")
	fs.DurationVar(&b.held, "hold", 20*time.Millisecond, "locks: how long a lock is held before it is handed over")
	fs.IntVar(&b.nodes, "nodes", 5, "visible: how many nodes")
	fs.IntVar(&b.changes, "changes", 20, "visible: changes in each round")
	fs.IntVar(&b.files, "files", 1000, "publish: files of the site")
	fs.StringVar(&b.dir, "dir", "",
		"where the data directories are made (and removed); \"\" means the system's temporary directory")
	fs.StringVar(&b.plot, "plot", "", "file to draw the result in, as SVG")
	fs.StringVar(&b.other, "other", "", "another build of this program: its Webfarm takes part, too")
	fs.StringVar(&b.profiles, "profiles", "", "existing directory for CPU profiles of Webfarm's processes")
	fs.BoolVar(&b.verbose, "v", false, "show what the servers print")
	fs.Parse(args)
	b.out, b.modes, b.systems = os.Stdout, strings.Split(*modes, ","), strings.Split(*systems, ",")
	b.ways, b.sizes = strings.Split(*ways, ","), sizes
	for _, w := range strings.Split(*writers, ",") {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > 512 {
			return b, fmt.Errorf("-writers: %q is not a number from 1 to 512", w)
		}
		b.writers = append(b.writers, n)
	}
	if b.rounds < 1 || b.kills < 1 || b.duration <= 0 || b.clients < 1 || b.idle < 1 || b.rate < 0 || b.held <= 0 ||
		b.nodes < 1 || b.changes < 1 || b.files < 1 {
		return b, errors.New("-rounds, -kills, -for, -clients, -idle, -hold, -nodes, -changes and -files must be " +
			"above 0, and -rate not below")
	}
	return b, nil
}

// takesPart says who can be compared in which mode.
var takesPart = map[string][]string{
	modeDurable:  {"webfarm", "etcd", "redis", "nats"},
	modeMemory:   {"webfarm", "redis", "nats"},
	modeFailover: {"webfarm", "etcd"},
	modeLocks:    {"webfarm", "etcd"},
}

// folder makes the folder of all data directories, and returns what removes it.
func (b *bench) folder() (dir string, remove func() error, err error) {
	if b.dir == "" {
		d, err := tempdir.Make("webfarm-benchmarks")
		if err != nil {
			return "", nil, err
		}
		return d.Path(), d.Remove, nil
	}
	dir, err = os.MkdirTemp(b.dir, "webfarm-benchmarks-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

func (b *bench) run(ctx context.Context) error {
	procCtx, cancel := context.WithCancel(context.Background())
	defer cancel()
	procs := newProcesses(procCtx, b.verbose)
	defer procs.stop()
	defer context.AfterFunc(ctx, procs.stop)() // a report that is waited for must not hold up an interrupt
	dir, remove, err := b.folder()
	if err != nil {
		return err
	}
	defer remove()
	var loads []*workload
	var failures []*crashes
	for _, mode := range b.modes {
		if measure := map[string]func(context.Context, *processes, string) error{
			modeForward: b.forward, modeStreams: b.streams, modeVisible: b.visible,
			modePublish: b.publish, modeContent: b.content}[mode]; measure != nil {
			if err := measure(ctx, procs, dir); err != nil {
				return errors.Join(ctx.Err(), err)
			}
			continue
		}
		if takesPart[mode] == nil {
			return fmt.Errorf("-mode: there is no %q", mode)
		}
		systems, err := b.start(procs, mode, dir)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		printNotes(b.out, mode, systems)
		switch mode {
		case modeFailover:
			failures, err = b.failover(ctx, systems)
		case modeLocks:
			err = b.locks(ctx, systems)
		default:
			var ws []*workload
			ws, err = b.measure(ctx, mode, systems)
			loads = append(loads, ws...)
		}
		for _, s := range systems {
			s.stop()
		}
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return b.draw(loads, failures)
}

// start starts the systems that take part in a mode.
func (b *bench) start(procs *processes, mode, dir string) (out []*system, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if !slices.Contains(b.systems, k.name) || !slices.Contains(takesPart[mode], k.name) {
			continue
		}
		if _, err := exec.LookPath(k.exe); k.exe != "" && err != nil {
			fmt.Fprintf(b.out, "%s is not installed and left out\n", k.exe)
			continue
		}
		s, err := startSystem(procs, k, k.name, self, mode, dir+"/"+mode)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		if k.servers == nil && b.other != "" {
			s, err := startSystem(procs, k, "other", b.other, mode, dir+"/"+mode)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
	}
	return out, nil
}

func (b *bench) draw(loads []*workload, failures []*crashes) error {
	if b.plot == "" {
		return nil
	}
	f, err := os.Create(b.plot)
	if err != nil {
		return err
	}
	var charts []chart
	if len(loads) > 0 {
		charts = append(charts, throughput(loads))
	}
	if len(failures) > 0 {
		charts = append(charts, pauses(failures))
	}
	return errors.Join(draw(f, charts), f.Close())
}
