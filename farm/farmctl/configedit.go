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
	name, text := args[0], f.Files[args[0]]
	dir, err := os.MkdirTemp("", "farmctl-config-")
	if err != nil {
		return err
	}
	local := filepath.Join(dir, path.Base(name)) // the editor sees by the name what it is
	if err := os.WriteFile(local, []byte(text), 0o600); err != nil {
		return err
	}
	for {
		if err := c.editor(ctx, local); err != nil {
			return fmt.Errorf("%w; the file is kept: %s", err, local)
		}
		b, err := os.ReadFile(local)
		if err != nil {
			return err
		}
		if string(b) == text {
			os.RemoveAll(dir)
			_, err := fmt.Fprintln(c.out, "Nothing was changed.")
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

// editor opens a file in the editor of the person.
func (c *configCall) editor(ctx context.Context, file string) error {
	words := strings.Fields(os.Getenv("VISUAL"))
	if len(words) == 0 {
		words = strings.Fields(os.Getenv("EDITOR"))
	}
	if len(words) == 0 {
		return usage("say in EDITOR which editor you use; or take %s config get, and then put", c.name)
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", words[0], err)
	}
	return nil
}
