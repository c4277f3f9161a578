package configsync

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// Settings are what a Manager is made of. The zero Settings have every config at its defaults, for ever.
type Settings struct {
	// Configs are those of this program; others cannot be read.
	Configs []Declared

	// Node and Role say which layers hold for this node: its name, and ordinary, front or staging; "" =
	// ordinary.
	Node, Role string

	// Program is the version of this program, such as 1.4.0, and Level the protocol level that it speaks:
	// releases may need some. "" and 0 = unknown, which is enough for those that need none.
	Program string
	Level   uint64

	// Log, Local and Changed are the replicated machine: its log; this node's copy of it, asked for each time
	// because it may be replaced; and the channel that NewMachine got, which may be nil. A nil Log: nothing can
	// be written.
	Log     Log
	Local   func() *Machine
	Changed <-chan struct{}

	// Farm is the name of the farm, for which every content has to be signed. "" = nobody asks for signatures.
	Farm string

	// Content keeps the content of releases. nil = releases with content are refused.
	Content Contents

	// CheckContent reports whether this program can use the content of a release, such as its templates. It is
	// called before anything is switched, also when the content is that of another release; an error, a panic, or
	// no return within 10 s, at which ctx ends, refuses the release. nil = any content will do.
	CheckContent func(ctx context.Context, files fs.FS) error

	// Pins keep what pages need in the releases that the pages are of. nil = everybody gets the release in force.
	Pins *content.Pins

	// Peers are the members of the farm, which have to be ready before anything is switched. nil = this node
	// alone is asked.
	Peers Peers

	// Prepare are hooks around a switch, made by Config.OnPrepare.
	Prepare []Hook

	// SelfCheck reports whether this node is well after a switch, for example by a request to itself. It has
	// 5 s, and is called again after an error. nil = it is if it uses the release.
	SelfCheck func(ctx context.Context) error

	// Keys is the key ring, by whose keys of KeyPurpose secrets in files are sealed; see Secret. nil = there can
	// be none, save in plain text in the files of Path.
	Keys *keyring.Ring

	// ConfigKeys are keys of the operators', of 32 characters at least, which the farm does not know: secrets
	// are sealed by the first of them as well, and opened by any. All nodes have the same. nil = the key ring's
	// alone.
	ConfigKeys []string

	// Roles returns the roles of the farm's nodes, by name, as far as they are known: files are checked for
	// what each of them would get. nil = nothing is known.
	Roles func() map[string]string

	// Path, for development, is a file or a folder which is read instead of the replicated files, and again
	// whenever it has changed. A file stands for the global layer of the config that its name says. "" = none.
	Path string

	// Logger; nil = slog.Default().
	Logger *slog.Logger
}
