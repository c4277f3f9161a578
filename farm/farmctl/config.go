package farmctl

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

func configVerb() *verb {
	return &verb{
		name: "config",
		args: "[get|set|unset|secret|reseal|put|edit|diff|history|rollback|explain|schema] [ARGUMENT...]",
		most: 4, remote: true,
		short: "show the configuration, change it on all nodes at once, or take a change back",
		long: `
Shows which epoch of the configuration is in force, its files, and which node uses it. And:

    farmctl config get site.yaml             prints a file as it was written; -epoch 7 an earlier one.
    farmctl config set site prices.tea 320   sets a field, and leaves the rest of the file as it is.
    farmctl config unset site prices.tea     takes it out of the file: what lies below counts again.
    farmctl config secret site payments.key  sets a secret, which it asks for, or reads from standard input.
    farmctl config reseal                    seals all secrets anew, before a key of theirs is ended.
    farmctl config put site.yaml             puts a file of this machine in place of the one of its name;
    farmctl config put ./config              or a folder in place of all files.
    farmctl config edit site.yaml            opens it in $VISUAL or $EDITOR.
    farmctl config diff 7 9                  what changed between two epochs; with one or none, until now.
    farmctl config history                   who changed it when, and why. The last 50 epochs are kept.
    farmctl config rollback 7                puts epoch 7 in force again, as a new epoch.
    farmctl config explain site prices.tea   where the value comes from; without a field, all of them.
    farmctl config schema site               prints the JSON Schema of its files, for editors. It needs no farm.

site.yaml is for all nodes, roles/front/site.yaml for those of a role, nodes/n1/site.yaml for one. For set,
unset and secret, -layer nodes/n1 says which is meant, and -path /shop/ means the section for such URLs.

A secret stands in its file sealed, {$secret: ...}, and everything else shows a fingerprint of it. secret -print
changes nothing and prints what goes into a file of your own.

A change is checked by the node that takes it, for all kinds of nodes. What is wrong is refused with file, line
and field, and has changed nothing. If somebody else was faster, set and unset try again; everything else is
refused. -dry-run says what a change would do. Fields marked RESTART have their effect when a node is
restarted, which the farm does by itself, one after the other, as long as it can do without each; -restart
simultaneous restarts all at once, and -restart manual leaves it to you. With -strict nobody is shown an old price
once anybody was shown a new one: farmctl help activate says how.`,
		define: func(c *call) func(context.Context) error {
			k := &configCall{call: c}
			c.flags.StringVar(&k.why, "m", "", "`why` it is changed, kept with the epoch")
			c.flags.StringVar(&k.who, "who", "", "`name` of who changes it; default the user of this machine")
			c.flags.BoolVar(&k.dry, "dry-run", false, "say what a change would do, and do nothing")
			c.flags.StringVar(&k.layer, "layer", "", "set, unset, put of a file: its `folder`, such as nodes/n1 "+
				"or roles/front")
			c.flags.StringVar(&k.path, "path", "", "set, unset, explain: a `path` of URLs, such as /shop/")
			c.flags.StringVar(&k.of, "of", "", "explain: the `node` that is meant; default the one that answers")
			c.flags.StringVar(&k.restart, "restart", "", restartUsage)
			c.flags.Var(&strictFlag{to: &k.strict}, "strict", strictUsage)
			c.flags.BoolVar(&k.print, "print", false, "secret: print it sealed, and change nothing")
			c.flags.Uint64Var(&k.epoch, "epoch", 0, "get: the `epoch`; default the one in force")
			return k.run
		},
	}
}

// configCall is one call of config.
type configCall struct {
	*call
	client                    *admin.Client
	why, who, layer, path, of string
	restart, strict           string
	dry, print                bool
	epoch                     uint64
}

// configForm is something that config does, with the least and the most arguments.
type configForm struct {
	args        string // as help has them
	least, most int
	do          func(context.Context, []string) error
	local       bool // it needs no farm
}

func (c *configCall) forms() map[string]configForm {
	return map[string]configForm{
		"":         {"", 0, 0, c.overview, false},
		"get":      {"FILE", 1, 1, c.get, false},
		"set":      {"CONFIG FIELD VALUE", 3, 3, c.set, false},
		"unset":    {"CONFIG FIELD", 2, 2, c.unset, false},
		"secret":   {"CONFIG FIELD", 2, 2, c.secret, false},
		"reseal":   {"", 0, 0, c.reseal, false},
		"put":      {"FILE | FOLDER", 1, 1, c.put, false},
		"edit":     {"FILE", 1, 1, c.edit, false},
		"diff":     {"[EPOCH [EPOCH]]", 0, 2, c.diff, false},
		"history":  {"", 0, 0, c.history, false},
		"rollback": {"EPOCH", 1, 1, c.rollback, false},
		"explain":  {"CONFIG [FIELD]", 1, 2, c.explain, false},
		"schema":   {"[CONFIG]", 0, 1, c.schema, true},
	}
}

func (c *configCall) run(ctx context.Context) error {
	word, args := "", c.args
	if len(args) > 0 {
		word, args = args[0], args[1:]
	}
	form, ok := c.forms()[word]
	if !ok {
		return usage("%s config does not know %q; %s help config says more", c.name, word, c.name)
	}
	if len(args) < form.least || len(args) > form.most {
		return usage("it is: %s; %s help config says more",
			strings.TrimSpace(c.name+" config "+word+" "+form.args), c.name)
	}
	if !form.local {
		var err error
		if c.client, err = c.call.client(); err != nil {
			return err
		}
	}
	return form.do(ctx, args)
}

// asked asks any node, and puts its answer into v. What changes something has a key.
func (c *configCall) asked(ctx context.Context, ask string, details, v any) error {
	b, err := json.Marshal(details)
	if err != nil {
		return err
	}
	look := ""
	if changes := ask == order.ConfigPut || ask == order.ConfigRollback; changes && !c.dry {
		look = "config history"
	}
	return c.repeated(ctx, look, func(ctx context.Context, _ func(bool)) error { return c.client.Ask(ctx, v, ask, string(b)) })
}

// files returns the files of an epoch; 0 = the one in force.
func (c *configCall) files(ctx context.Context, epoch uint64) (f order.ConfigFiles, err error) {
	return f, c.asked(ctx, order.ConfigGet, order.ConfigOf{Epoch: epoch}, &f)
}

func (c *configCall) get(ctx context.Context, args []string) error {
	f, err := c.files(ctx, c.epoch)
	if err != nil {
		return err
	}
	text, ok := f.Files[args[0]]
	switch {
	case !ok && f.Epoch == 0:
		return fmt.Errorf("%w: there are no files: nothing was ever put in force, and all nodes have the defaults of their "+
			"program; %s config put puts files in force", admin.ErrRefused, c.name)
	case !ok:
		return fmt.Errorf("%w: epoch %d has no file %q; %s config lists the files", admin.ErrRefused, f.Epoch,
			args[0], c.name)
	}
	if c.json {
		return c.printJSON(map[string]any{"epoch": f.Epoch, "file": args[0], "text": text})
	}
	_, err = fmt.Fprint(c.out, text)
	return err
}

// write returns what a change of an epoch says of itself.
func (c *configCall) write(epoch uint64) order.ConfigWrite {
	return order.ConfigWrite{Epoch: epoch, Who: whoDoes(c.who), Why: c.why, Key: rand.Text()}
}

// change is putFiles, and tells what came of it.
func (c *configCall) change(ctx context.Context, epoch uint64, set map[string]string, remove []string) error {
	done, err := c.putFiles(ctx, epoch, set, remove)
	if err != nil {
		return err
	}
	return c.told(done)
}

// putFiles has files changed that were looked at in an epoch.
func (c *configCall) putFiles(ctx context.Context, epoch uint64, set map[string]string, remove []string) (
	done order.ConfigDone, err error) {
	w := order.ConfigChange{ConfigWrite: c.write(epoch), Set: set, Remove: remove, Dry: c.dry, Restart: c.restart,
		Strict: c.strict}
	if err := c.asked(ctx, order.ConfigPut, w, &done); err != nil {
		return done, err
	}
	c.sayStrangers(ctx, c.client, set)
	return done, nil
}

// file returns the file of a config in the layer that is meant: the one there is, or a new one.
func (c *configCall) file(files map[string]string, config string) string {
	for _, ext := range []string{".yaml", ".yml", ".json"} {
		name := path.Join(c.layer, config+ext)
		if _, there := files[name]; there {
			return name
		}
	}
	return path.Join(c.layer, config+".yaml")
}

func (c *configCall) set(ctx context.Context, args []string) error {
	return c.field(ctx, args[0], func(file, text string) (string, error) {
		return configsync.SetField(file, text, c.path, args[1], args[2])
	})
}

func (c *configCall) unset(ctx context.Context, args []string) error {
	return c.field(ctx, args[0], func(file, text string) (string, error) {
		return configsync.RemoveField(file, text, c.path, args[1])
	})
}

// maxTries is how often a field is set anew because somebody else was faster.
const maxTries = 5

// field changes a field of a config's file. It is as good for what somebody else has made of the file
// meanwhile.
func (c *configCall) field(ctx context.Context, config string,
	edit func(file, text string) (string, error)) error {
	for try := 1; ; try++ {
		f, err := c.files(ctx, 0)
		if err != nil {
			return err
		}
		file := c.file(f.Files, config)
		text, err := edit(file, f.Files[file])
		if err != nil {
			return usage("%s", strings.TrimPrefix(err.Error(), "configsync: "))
		}
		done, err := c.putFiles(ctx, f.Epoch, map[string]string{file: text}, nil)
		if err == nil {
			return c.told(done)
		}
		if !errors.Is(err, admin.ErrRefused) || try == maxTries {
			return err
		}
		if now, look := c.files(ctx, 0); look != nil || now.Epoch == f.Epoch {
			return err // it was refused for what it is
		}
	}
}

func (c *configCall) put(ctx context.Context, args []string) error {
	info, err := os.Stat(args[0])
	if err != nil {
		return fmt.Errorf("%w: say a file, or a folder, of configuration that is there", err)
	}
	f, err := c.files(ctx, 0)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		name := path.Join(c.layer, filepath.Base(args[0]))
		return c.change(ctx, f.Epoch, map[string]string{name: string(b)}, nil)
	}
	set, err := configsync.ReadFolder(os.DirFS(args[0]))
	if err != nil {
		return err
	}
	var remove []string
	for file := range f.Files {
		if _, still := set[file]; !still {
			remove = append(remove, file)
		}
	}
	return c.change(ctx, f.Epoch, set, remove)
}

func (c *configCall) rollback(ctx context.Context, args []string) error {
	to, err := c.epochArg(args[0])
	if err != nil {
		return err
	}
	f, err := c.files(ctx, 0)
	if err != nil {
		return err
	}
	w := c.write(f.Epoch)
	if w.Why == "" {
		w.Why = fmt.Sprintf("rollback to epoch %d", to)
	}
	var done order.ConfigDone
	if err := c.asked(ctx, order.ConfigRollback, order.ConfigBack{ConfigWrite: w, To: to, Dry: c.dry, Restart: c.restart,
		Strict: c.strict},
		&done); err != nil {
		return err
	}
	return c.told(done)
}

func (c *call) epochArg(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, usage("%q is no epoch, which is a number from 1; %s config history lists them", s, c.name)
	}
	return n, nil
}

func (c *configCall) diff(ctx context.Context, args []string) (err error) {
	var pair order.ConfigPair
	for i, to := range []*uint64{&pair.From, &pair.To} {
		if len(args) > i {
			if *to, err = c.epochArg(args[i]); err != nil {
				return err
			}
		}
	}
	if len(args) == 0 {
		f, err := c.files(ctx, 0)
		if err != nil {
			return err
		}
		if f.Epoch < 2 {
			return fmt.Errorf("%w: there is no epoch before the one in force; %s config history lists them",
				admin.ErrRefused, c.name)
		}
		pair = order.ConfigPair{From: f.Epoch - 1, To: f.Epoch}
	}
	var ds []order.ConfigDifference
	if err := c.asked(ctx, order.ConfigDiff, pair, &ds); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(ds)
	}
	return printDifferences(c.out, ds)
}

func (c *configCall) history(ctx context.Context, _ []string) error {
	var past order.ConfigPast
	if err := c.asked(ctx, order.ConfigHistory, struct{}{}, &past); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(past)
	}
	var rows [][]string
	for i := len(past.Epochs) - 1; i >= 0; i-- {
		e := past.Epochs[i]
		rows = append(rows, []string{strconv.FormatUint(e.Epoch, 10), strconv.FormatUint(e.Revision, 10),
			e.Time.UTC().Format(time.DateTime), dash(e.Who), shownBy(e), dash(e.Why)})
	}
	return table(c.out, []string{"EPOCH", "REVISION", "TIME (UTC)", "WHO", "CREDENTIAL", "WHY"}, rows)
}

func (c *configCall) explain(ctx context.Context, args []string) error {
	q := order.ConfigQuestion{Config: args[0], Node: c.of, Path: c.path}
	if len(args) > 1 {
		q.Field = args[1]
	}
	var all []order.ConfigExplained
	if err := c.asked(ctx, order.ConfigExplain, q, &all); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(all)
	}
	return printExplained(c.out, all)
}
