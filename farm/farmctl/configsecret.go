package farmctl

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// maxSecret is more than a secret may have, in bytes.
const maxSecret = 64 << 10

// secret sets a secret: a node seals it, and what comes of that is set as any other field.
func (c *configCall) secret(ctx context.Context, args []string) error {
	text, err := c.hidden(ctx, args[0]+"."+args[1])
	if err != nil {
		return err
	}
	var sealed order.ConfigSealed
	p := order.ConfigPlain{Config: args[0], Field: args[1], Text: text}
	if err := c.asked(ctx, order.ConfigSeal, p, &sealed); err != nil {
		return err
	}
	value := "{$secret: " + sealed.Token + "}"
	switch {
	case c.print && c.json:
		return c.printJSON(sealed)
	case c.print:
		_, err := fmt.Fprintln(c.out, value)
		return err
	}
	return c.field(ctx, args[0], func(file, text string) (string, error) {
		return configsync.SetField(file, text, c.path, args[1], value)
	})
}

// reseal seals all secrets of what is in force with the keys that seal now.
func (c *configCall) reseal(ctx context.Context, _ []string) error {
	var f order.ConfigFiles
	if err := c.asked(ctx, order.ConfigReseal, order.ConfigOf{}, &f); err != nil {
		return err
	}
	if c.why == "" {
		c.why = "secrets sealed anew"
	}
	return c.change(ctx, f.Epoch, f.Files, nil)
}

// hidden returns what a person types unseen, or what a script gives on standard input, without the end of its
// last line.
func (c *configCall) hidden(ctx context.Context, what string) (string, error) {
	in := io.Reader(io.LimitReader(c.in, maxSecret))
	if c.asks {
		back, err := noEcho(c.in)
		if err != nil {
			return "", usage("what you type cannot be hidden here (%v): give it on standard input, from a pipe or a "+
				"file", err)
		}
		defer fmt.Fprintln(c.err)
		defer back()
		fmt.Fprintf(c.err, "%s (it is not shown): ", printable(what))
	}
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() { // nothing ends a read from a terminal: at an interrupt it is left to the end of the process
		var a answer
		if c.asks {
			a.text, a.err = bufio.NewReader(in).ReadString('\n')
			if a.err == io.EOF {
				a.err = nil
			}
		} else {
			var b []byte
			b, a.err = io.ReadAll(in)
			a.text = string(b)
		}
		read <- a
	}()
	select {
	case a := <-read:
		a.text = strings.TrimSuffix(strings.TrimSuffix(a.text, "\n"), "\r")
		if a.err == nil && a.text == "" {
			a.err = usage("there is no secret on standard input; to take one away: %s config unset", c.name)
		}
		return a.text, a.err
	case <-ctx.Done():
		return "", errDeclined
	}
}

// noEcho has a terminal not show what is typed, until back is called.
func noEcho(in io.Reader) (back func(), err error) {
	f, ok := in.(*os.File)
	if !ok {
		return nil, fmt.Errorf("no terminal")
	}
	stty := func(arg string) error {
		cmd := exec.Command("stty", arg)
		cmd.Stdin = f
		return cmd.Run()
	}
	if err := stty("-echo"); err != nil {
		return nil, fmt.Errorf("stty: %w", err)
	}
	return func() { stty("echo") }, nil
}
