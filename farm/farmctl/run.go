package farmctl

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/environ"
)

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// console is what a person or a script gave a verb to read from and write to.
type console struct {
	name    string // how the verbs are called: "farmctl", or "shop farm"
	configs []configsync.Declared
	version string // of the program; "" = unknown

	checkContent func(context.Context, fs.FS) error // nil = there is none

	in    io.Reader
	out   io.Writer
	err   io.Writer
	asks  bool // a person can be asked
	shows bool // out is a terminal
	chats bool // err is a terminal: progress is of use

	saysAfter, againAfter time.Duration // 0 = the constants of these names
}

// call is one run of a verb.
type call struct {
	console
	verb    *verb
	flags   *flag.FlagSet
	args    []string
	json    bool
	farm    string
	nodes   []string
	timeout time.Duration

	heard    bool     // a node has answered
	troubled string   // why something was asked again
	leaves   []func() // have the next question go to another node
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, con console, args []string) int {
	if len(args) == 0 {
		con.printHelp(con.err)
		return codeUsage
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		return help(con, args[1:])
	}
	v := findVerb(name)
	if v == nil {
		return con.noVerb(name)
	}
	err := v.call(ctx, con, args[1:])
	if err != nil && err != flag.ErrHelp {
		fmt.Fprintf(con.err, "%s: %s%s\n", con.name, sentence(err), nextStep(err))
	}
	return codeOf(err)
}

// sentence returns what an error says, without the name of the package that says it.
func sentence(err error) string {
	lines := strings.Split(strings.TrimPrefix(err.Error(), "admin: "), "\n")
	for i, line := range lines {
		lines[i] = printable(line) // nodes have their say in it
	}
	return strings.Join(lines, "\n  ")
}

// call runs a verb with the rest of the command line.
func (v *verb) call(ctx context.Context, con console, args []string) error {
	c := &call{console: con, verb: v, flags: flag.NewFlagSet(v.name, flag.ContinueOnError)}
	c.flags.SetOutput(io.Discard)
	if v.remote {
		c.defineFarm()
	}
	act := v.define(c)
	if perr := c.parse(args); perr == flag.ErrHelp {
		con.printVerb(v, c.flags)
		return perr
	} else if perr != nil {
		return usage("%v; %s help %s says more", perr, con.name, v.name)
	}
	if len(c.args) < v.least || len(c.args) > v.most {
		return usage("it is: %s", strings.TrimSpace(con.name+" "+v.name+" "+v.args))
	}
	if v.remote && !v.alone && len(c.nodes) > 0 {
		c.err = &shared{w: c.err}
		defer c.sayWaits(ctx)()
	}
	return act(ctx)
}

// parse takes flags and arguments in any order.
func (c *call) parse(args []string) error {
	if err := strictlyGiven(args); err != nil {
		return err
	}
	for {
		if err := c.flags.Parse(args); err != nil {
			return err
		}
		rest := c.flags.Args()
		if len(rest) == 0 {
			return nil
		}
		if done := len(args) - len(rest); done > 0 && args[done-1] == "--" {
			c.args = append(c.args, rest...)
			return nil
		}
		c.args, args = append(c.args, rest[0]), rest[1:]
	}
}

// defineFarm defines the flags that say which farm is meant.
func (c *call) defineFarm() {
	c.farm = os.Getenv("FARM_FARM")
	c.nodes = environ.Fields(os.Getenv("FARM_JOIN"))
	c.flags.Var(&environ.List{Items: &c.nodes}, "node",
		"peer `address` of a member, host:port; by commas or repeated for more [FARM_JOIN]")
	c.flags.StringVar(&c.farm, "farm", c.farm, "`name` of the farm; default webfarm [FARM_FARM]")
	c.flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how `long` to wait for an answer")
	c.flags.BoolVar(&c.json, "json", false, "print JSON, for scripts")
}

// client returns a client of the farm that is meant.
func (c *call) client() (*admin.Client, error) {
	client, err := c.newClient()
	if err == nil {
		c.leaves = append(c.leaves, client.PassOver)
	}
	return client, err
}

// newClient is client for what goes on beside a verb.
func (c *call) newClient() (*admin.Client, error) {
	if len(c.nodes) == 0 {
		return nil, usage("say where a member of the farm is: -node 10.0.0.1:7946, or FARM_JOIN")
	}
	if c.timeout <= 0 {
		return nil, usage("-timeout must be more than nothing")
	}
	secrets, err := environ.Secrets()
	if err != nil {
		return nil, usage("%v", err)
	}
	client, err := admin.New(admin.Config{Farm: c.farm, Secrets: secrets, Nodes: c.nodes, Timeout: c.timeout,
		Spread: whoDoes("")}) // one user has his commands done by one node, which knows what it has just done
	if err != nil {
		return nil, usage("%s", sentence(err))
	}
	return client, nil
}
