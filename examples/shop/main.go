// Shop is a small shop that runs as a farm of several processes on one machine, to be played with: fill a cart, kill a
// node, look at the cart on another one.
//
//	go run ./examples/shop             three nodes; prints what to try
//	go run ./examples/shop -node ...   one node by hand, in as many terminals or on as many machines as you like
//
// README.md describes the JSON interface.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmctl"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "farm" {
		os.Exit(farmctl.Program{Name: "shop farm", Configs: configs, CheckContent: checkContent}.Main(os.Args[2:]))
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
	node := fs.Bool("node", false, "run one node by hand, instead of a farm for development (-dev -nodes 3)")
	report := fs.String("report", nightly, "`when` the report is written, as crontab says it, by the clock of "+reportZone+
		"; with -dev every ten seconds")
	leashed := fs.Bool("leashed", false, "with -node: stop when standard input ends")
	fs.Parse(args)
	if fs.NArg() > 0 {
		return fmt.Errorf("what is %q? See -help", fs.Arg(0))
	}
	if *leashed {
		ctx = untilEOF(ctx, os.Stdin)
	}
	if !*node {
		cfg.Dev, cfg.Nodes = true, cmp.Or(cfg.Nodes, 3)
	}
	if cfg.Dev && *report == nightly {
		*report = inDev
	}
	return runNode(ctx, *cfg, *report)
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

func runNode(ctx context.Context, cfg farm.Config, report string) error {
	cfg.App = "shop"
	cfg.Configs = configs
	cfg.Site = ownSite()
	cfg.CheckContent = checkContent

	// Browsers send Secure cookies over HTTPS only, and this shop speaks plain HTTP, on loopback. A real shop has HTTPS,
	// in this process (Config.Server.TLSConfig) or at a proxy in front of it, and leaves this line out.
	cfg.Session.Cookie.Insecure = true

	f, err := farm.Open(cfg)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := work(f, report); err != nil {
		return err
	}
	return f.Serve(ctx, routes(f))
}
