package farmctl

import (
	"context"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// Program is a program that carries the verbs. The zero Program is farmctl itself, which knows nothing of any
// program's types.
type Program struct {
	// Name is how a person calls the verbs, such as "shop farm"; help and messages use it. "" = "farmctl".
	Name string

	// Configs are those of farm.Config.Configs: "check" checks files by their types, and "config schema" says them to
	// editors.
	Configs []configsync.Declared

	// CheckContent is farm.Config.CheckContent: "check" has the content of a site checked by it. nil = it is checked
	// by the nodes alone. files are as they lie in the folder.
	CheckContent func(ctx context.Context, files fs.FS) error

	// Version is that of farm.Config.Cluster.Version: "check" looks whether it is what release.yaml needs. "" = nobody
	// knows, and check says so.
	Version string
}

// Main carries out one command line and returns the exit code of the process; the package comment lists them.
// args begins with the verb.
//
// Main reads and writes the standard streams of the process. An interrupt or SIGTERM ends the verb in order; a
// second one kills the process.
func (p Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	if p.Name == "" {
		p.Name = "farmctl"
	}
	con := console{name: p.Name, configs: p.Configs, version: p.Version, checkContent: p.CheckContent,
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		asks: isTerminal(os.Stdin) && isTerminal(os.Stderr), shows: isTerminal(os.Stdout), chats: isTerminal(os.Stderr)}
	return run(ctx, con, args)
}

// Main is Program.Main of a program that has a name alone.
func Main(name string, args []string) int { return Program{Name: name}.Main(args) }
