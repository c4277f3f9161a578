package farmctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// edit has a person edit a file, again and again until it is right, or left as it was.
func (c *configCall) edit(ctx context.Context, args []string) error {
	f, err := c.files(ctx, 0)
	if err != nil {
		return err
	}
	editor, err := c.editor()
	if err != nil {
		return err
	}
	name, text := args[0], f.Files[args[0]]
	dir, err := os.MkdirTemp("", "farmctl-config-") // it outlasts the process where somebody has written something
	if err != nil {
		return err
	}
	local := filepath.Join(dir, path.Base(name)) // the editor sees by the name what it is
	if err := os.WriteFile(local, []byte(text), 0o600); err != nil {
		os.RemoveAll(dir)
		return err
	}
	for {
		failed := c.open(ctx, editor, local)
		b, err := os.ReadFile(local)
		switch {
		case err == nil && string(b) == text:
			os.RemoveAll(dir)
			if failed == nil {
				_, failed = fmt.Fprintln(c.out, "Nothing was changed.")
			}
			return failed
		case failed != nil:
			return fmt.Errorf("%w; the file is kept: %s", failed, local)
		case err != nil:
			return err
		}
		err = c.change(ctx, f.Epoch, map[string]string{name: string(b)}, nil)
		if err == nil {
			os.RemoveAll(dir)
			return nil
		}
		if now, look := c.files(ctx, 0); !c.asks || !errors.Is(err, admin.ErrRefused) || look != nil ||
			now.Epoch != f.Epoch {
			return fmt.Errorf("%w\nwhat you have written is kept: %s", err, local)
		}
		fmt.Fprintf(c.err, "%s\nPress Enter to edit it again, or interrupt; it is kept: %s\n", sentence(err), local)
		if _, err := fmt.Fscanln(c.in); err != nil && err.Error() != "unexpected newline" {
			return fmt.Errorf("%w; what you have written is kept: %s", errDeclined, local)
		}
	}
}

// editor returns the command of the person's editor.
func (c *configCall) editor() ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if words := strings.Fields(os.Getenv(name)); len(words) > 0 {
			return words, nil
		}
	}
	return nil, usage("say in EDITOR which editor you use; or take %s config get, and then put", c.name)
}

// open has the person edit a file, by the command of an editor.
func (c *configCall) open(ctx context.Context, editor []string, file string) error {
	cmd := exec.CommandContext(ctx, editor[0], append(editor[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", editor[0], err)
	}
	return nil
}
