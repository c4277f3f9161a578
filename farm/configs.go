package farm

import (
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// openConfigs opens this node's share in the configuration of the farm.
func (f *Farm) openConfigs(name string, switched <-chan struct{}) (err error) {
	h := f.node.Handle(machineConfig)
	f.configs, err = configsync.New(configsync.Settings{
		Configs: f.cfg.Configs,
		Node:    name,
		Role:    string(f.cfg.Role),
		Log:     h,
		Local:   func() *configsync.Machine { return h.Local().(*configsync.Machine) },
		Changed: switched,
		Roles:   f.roles,
		Path:    f.cfg.ConfigPath,

		Keys:       f.keys,
		ConfigKeys: f.cfg.ConfigKeys,

		Logger: f.log,
	})
	return fault.Config(err)
}

// roles returns the roles of the members, by name.
func (f *Farm) roles() map[string]string {
	out := map[string]string{}
	for _, m := range f.node.State().Members {
		out[m.Name] = string(m.Role)
	}
	return out
}

// awaitConfigs returns when this node can use the configuration that is in force; false if it is closed
// before.
func (f *Farm) awaitConfigs() bool {
	for {
		news := f.configs.Changed()
		err := f.configs.Usable()
		if err == nil {
			return true
		}
		f.log.Error("not ready: this program cannot use the configuration that is in force; start a newer one, "+
			"or change the configuration", "err", err)
		select {
		case <-news:
		case <-time.After(10 * time.Second):
		case <-f.done.Done():
			return false
		}
	}
}

// Configs returns the manager of the configuration: what is in force, its history, and changes to it.
func (f *Farm) Configs() *configsync.Manager { return f.configs }
