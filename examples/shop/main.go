// Shop is a small shop that runs as a farm of several processes on one machine, to be played with: fill a cart, kill a
// node, look at the cart on another one.
//
//	go run ./examples/shop             three nodes; prints what to try
//	go run ./examples/shop -node ...   one node by hand, in as many terminals or on as many machines as you like
//	go run ./examples/shop farm help   what an operator can do: members, backup, recover and so on
//
// README.md describes the JSON interface.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/dev"
	"github.com/seed48eb2e21/webfarm/farm/farmctl"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "farm" {
		os.Exit(farmctl.Main("shop farm", os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // the first signal stops in order; a second one kills
	if err := run(ctx, os.Args[0], os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(farm.ExitCode(err))
	}
}

func run(ctx context.Context, program string, args []string) error {
	fs := flag.NewFlagSet(program, flag.ExitOnError)
	cfg := farm.Flags(fs)
	node := fs.Bool("node", false, "run one node in this process")
	nodes := fs.Int("nodes", 3, "how many nodes to start, without -node")
	leashed := fs.Bool("leashed", false, "with -node: stop when standard input ends, as it does when the launcher dies")
	fs.Parse(args)
	if fs.NArg() > 0 {
		return fmt.Errorf("what is %q? See -help", fs.Arg(0))
	}
	switch {
	case *node && *leashed:
		return runNode(untilEOF(ctx, os.Stdin), *cfg)
	case *node:
		return runNode(ctx, *cfg)
	}
	if err := launchable(*cfg); err != nil {
		return err
	}
	return dev.Launch(withGoRun(ctx), *nodes, cfg.Dir)
}

// withGoRun returns a context that ends when "go run", if that has started this program, is no more: killed, it does not take
// its child with it. Any other parent may go away as it likes.
func withGoRun(ctx context.Context) context.Context {
	program, err := os.Executable()
	parent := os.Getppid()
	if err != nil || !strings.Contains(program, "go-build") {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the process at the latest
		defer cancel()
		for tick := time.Tick(500 * time.Millisecond); os.Getppid() == parent; {
			<-tick
		}
	}()
	return ctx
}

// launchable says what is wrong with a configuration for the launcher, which would not heed most of it.
func launchable(c farm.Config) error {
	if c.HTTP+c.Peer+c.Advertise+c.Admin+c.Name+c.Farm+string(c.Role) != "" || c.Cluster.Expect != 0 || c.LeaveOnStop ||
		len(c.Join) > 0 || len(c.TrustedProxies) > 0 {
		return errors.New("the launcher sets its nodes up itself: it heeds -nodes and -dir, and FARM_SECRET; " +
			"other flags, and FARM_... in the environment, are for -node")
	}
	return nil
}

// untilEOF returns a context that ends when in does.
func untilEOF(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the process at the latest
		io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx
}

func runNode(ctx context.Context, cfg farm.Config) error {
	cfg.App = "shop"

	// Browsers send Secure cookies over HTTPS only, and this shop speaks plain HTTP, on loopback. A real shop has HTTPS,
	// in this process (Config.Server.TLSConfig) or at a proxy in front of it, and leaves this line out.
	cfg.Session.Cookie.Insecure = true

	f, err := farm.Open(cfg)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Serve(ctx, routes(f))
}
