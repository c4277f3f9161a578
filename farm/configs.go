package farm

import (
	"context"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// openConfigs opens this node's share in the releases of the farm.
func (f *Farm) openConfigs(name string, switched <-chan struct{}) (err error) {
	h := f.node.Handle(machineConfig)
	st := f.node.State()
	self, _ := st.Member(st.Self)
	f.configs, err = configsync.New(configsync.Settings{
		Configs:   f.cfg.Configs,
		Node:      name,
		Role:      string(f.cfg.Role),
		Program:   self.Version,
		Level:     uint64(self.Level),
		Log:       h,
		Local:     func() *configsync.Machine { return h.Local().(*configsync.Machine) },
		Changed:   switched,
		Peers:     peers{f},
		Farm:      f.cfg.Farm,
		Content:   f.contents,
		Pins:      f.pins(),
		Prepare:   f.cfg.Prepare,
		SelfCheck: f.selfCheck,
		Roles:     f.roles,
		Path:      f.cfg.ConfigPath,

		Keys:       f.keys,
		ConfigKeys: f.cfg.ConfigKeys,

		CheckContent: f.cfg.CheckContent,

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

// sayBehindEvery is how often a node says why it does not serve.
const sayBehindEvery = 10 * time.Second

// awaitConfigs returns when this node uses what is in force; false if it is closed before.
func (f *Farm) awaitConfigs() bool {
	for f.done.Err() == nil {
		ctx, cancel := context.WithTimeout(f.done, sayBehindEvery)
		err := f.configs.AwaitUsable(ctx)
		cancel()
		if err == nil {
			return true
		}
		if why := f.configs.Usable(); why != nil && f.done.Err() == nil {
			f.log.Error("not ready: this node cannot use what is in force", "err", why)
		}
	}
	return false
}

// followRelease closes the gate whenever this node does not use what is in force, and opens it when it does
// again: it never shows an old release on purpose.
func (f *Farm) followRelease() {
	for f.done.Err() == nil {
		news := f.configs.Changed()
		if why := f.configs.Usable(); why != nil && f.outlasts() {
			f.gate.Suspend("behind: " + why.Error())
			f.log.Warn("requests go to other nodes: this one cannot use what is in force yet", "err", why)
			if !f.awaitConfigs() {
				return
			}
			f.gate.Admit()
			f.log.Info("this node uses what is in force, and serves again")
			continue
		}
		select {
		case <-news:
		case <-f.done.Done():
		}
	}
}

// shortly is for how long a node may be behind without telling the others: it stages what it has missed.
const shortly = 250 * time.Millisecond

// outlasts reports whether this node is still behind after a moment.
func (f *Farm) outlasts() bool {
	ctx, cancel := context.WithTimeout(f.done, shortly)
	defer cancel()
	return f.configs.AwaitUsable(ctx) != nil && f.done.Err() == nil
}

// peerMux returns the handler of what other nodes ask over HTTP.
func (f *Farm) peerMux() *http.ServeMux {
	mux := http.NewServeMux()
	f.uploadPath(mux)
	mux.HandleFunc(pathStage, f.serveStage)
	mux.HandleFunc(pathConfirm, f.serveConfirm)
	mux.HandleFunc(pathFollow, f.serveFollow)
	mux.HandleFunc(pathHold, f.serveHold)
	mux.HandleFunc(pathRestart, f.serveRestart)
	return mux
}

// Configs returns the manager of the releases: the configuration that is in force, its history, and changes
// to it.
func (f *Farm) Configs() *configsync.Manager { return f.configs }
