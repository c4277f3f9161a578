package farmctl

import (
	"context"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// schema prints the JSON Schema of a config of this program.
func (c *configCall) schema(_ context.Context, args []string) error {
	if len(c.configs) == 0 {
		return c.noConfigs("there is no schema")
	}
	i := 0
	if len(args) > 0 {
		i = slices.IndexFunc(c.configs, func(d configsync.Declared) bool { return d.Name() == args[0] })
	}
	var names []string
	for _, d := range c.configs {
		names = append(names, d.Name())
	}
	switch {
	case i < 0:
		return usage("this program has no config %q; it has: %s", args[0], strings.Join(names, ", "))
	case len(args) == 0 && len(names) > 1:
		return usage("say which config is meant: %s", strings.Join(names, ", "))
	}
	_, err := c.out.Write(c.configs[i].JSONSchema())
	return err
}

// noConfigs is the error for what a program cannot do that has not said which configurations it has.
func (c *call) noConfigs(so string) error {
	return usage("this program does not say which configurations it has, so %s: give this command to the site's own "+
		"program, whose main hands them over (%s)", so, "farmctl.Program{Configs: ...}")
}
