package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
)

func backupVerb() *verb {
	return &verb{
		name: "backup", args: "FILE|-", least: 1, most: 1,
		remote: true,
		short:  "save the replicated state to a file, or check such a file",
		long: `
Saves everything the farm replicates, as the node that answers has it, while the farm goes on. If the farm has a
quorum, the backup holds everything acknowledged before it began. The file appears under its name only when it is
whole, checked and on disk; "-" is standard output, where the exit code must be looked at. Sessions are in it in the
clear: keep it safe.

With -verify: reads a backup, "-" from standard input, checks all of it, and says what is in it. That needs no farm.`,
		define: func(c *call) func(context.Context) error {
			verify := c.flags.Bool("verify", false, "check a backup; needs no farm")
			overwrite := c.flags.Bool("overwrite", false, "replace FILE if it exists")
			return func(ctx context.Context) error {
				switch name := c.args[0]; {
				case *verify:
					return c.verifyBackup(name)
				case name == "-":
					return c.backupToOutput(ctx)
				default:
					return c.backupToFile(ctx, name, *overwrite)
				}
			}
		},
	}
}

func (c *call) backupToOutput(ctx context.Context) error {
	if c.shows {
		return usage("a backup is no text for a terminal: name a file, or send it somewhere")
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	p := c.progress()
	h, err := client.Backup(ctx, io.MultiWriter(c.out, p))
	p.end()
	if err == nil {
		c.warnOld(h)
	}
	return err
}

func (c *call) backupToFile(ctx context.Context, name string, overwrite bool) (err error) {
	client, err := c.client()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(name); err == nil && !overwrite {
		return usage("%s exists; take another name, or say -overwrite", name)
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.tmp") // for the owner alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(temp))
		}
	}()
	h, n, err := c.fetch(ctx, client, temp)
	if err != nil {
		return err
	}
	if err := errors.Join(temp.Close(), os.Rename(temp.Name(), name)); err != nil {
		return err
	}
	syncFolder(filepath.Dir(name))
	c.warnOld(h)
	return c.sayBackup(name, h, n)
}

// fetch writes a backup to file, and reads it again from there to see that it is one.
func (c *call) fetch(ctx context.Context, client *admin.Client, file *os.File) (h backup.Header, n int64, err error) {
	p := c.progress()
	_, err = client.Backup(ctx, io.MultiWriter(file, p))
	p.end()
	if err != nil {
		return h, 0, err
	}
	if err := file.Sync(); err != nil {
		return h, 0, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return h, 0, err
	}
	return backup.Verify(file)
}

// remove closes and removes a file that may be closed or gone already.
func remove(f *os.File) error {
	f.Close()
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder makes a rename last, where the system knows how.
func syncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		d.Sync()
		d.Close()
	}
}

func (c *call) verifyBackup(name string) error {
	src := c.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		src = file
	}
	h, n, err := backup.Verify(src)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return c.sayBackup(name, h, n)
}

// saved is what backup prints for scripts.
type saved struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"` // of state
	backup.Header
}

func (c *call) sayBackup(name string, h backup.Header, n int64) error {
	if c.json {
		return c.printJSON(saved{name, n, h})
	}
	return printBackup(c.out, name, h, n)
}

// printBackup says to people what is in a backup.
func printBackup(w io.Writer, name string, h backup.Header, n int64) error {
	current := "everything acknowledged before it was taken"
	if !h.Current {
		current = "what its node had; the farm had no quorum to say what else was acknowledged"
	}
	_, err := fmt.Fprintf(w, `%s: a whole backup
  of farm     %s, cluster %s, of %d members
  taken       %s from %s, version %s
  holds       %s
  up to       entry %d, %s by the log's time
  state       %s in %s, protocol level %d
`, printable(name), printable(h.Farm), dash(h.ClusterID), h.Members, h.Taken.UTC().Format(time.RFC3339), dash(h.Node),
		dash(h.Version), current, h.Index, h.LogTime.UTC().Format(time.RFC3339), size(n), dash(strings.Join(h.Machines, ", ")), h.Level)
	return err
}

// warnOld warns if a backup may lack something acknowledged.
func (c *call) warnOld(h backup.Header) {
	if !h.Current {
		fmt.Fprintf(c.err, "%s: warning: the farm has no quorum; this is what %s has, and it may lack the last writes\n", c.name,
			dash(h.Node))
	}
}

// progress shows on a terminal how many bytes have come.
type progress struct {
	w     io.Writer // nil: nobody looks
	n     int64
	shown time.Time
}

func (c *call) progress() *progress {
	if !c.chats {
		return &progress{}
	}
	return &progress{w: c.err}
}

// Write counts.
func (p *progress) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	if now := time.Now(); p.w != nil && now.Sub(p.shown) > 200*time.Millisecond {
		p.shown = now
		fmt.Fprintf(p.w, "\r%s ", size(p.n))
	}
	return len(b), nil
}

func (p *progress) end() {
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r                \r")
	}
}
