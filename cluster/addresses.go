package cluster

import (
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/disk"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// loadAddresses brings back where the others were when this node ran last. Without them the Join addresses
// must do.
func (j *joining) loadAddresses() {
	saved, err := j.dir.Peers()
	if err != nil {
		j.log.Warn("the saved addresses of the other members cannot be read; Join must name one", keyError,
			err)
	}
	for server, addrs := range saved.Servers {
		if node := wire.NodeOf(server); node != j.id && len(addrs) > 0 {
			j.directory.KeepAt(node, addrs[0])
			j.contacts.add(addrs...)
		}
	}
}

// saveAddresses keeps the addresses of the configured servers, in memory and on disk.
func (j *joining) saveAddresses() {
	var saved disk.Peers
	begun := ""
	for sleep.For(j.ctx, time.Second) {
		in := j.instance()
		servers := in.configuration().Servers
		if len(servers) == 0 {
			continue // taken in by nobody yet, or no log: what was known may still be needed
		}
		if begun != in.server {
			if err := j.standing.Begun(in.server); err != nil {
				j.warnOnce("begun", "the data directory cannot be written", err)
				continue
			}
			begun = in.server
		}
		now := disk.Peers{Servers: map[string][]string{}}
		configured := map[string]bool{}
		for _, s := range servers {
			configured[string(s.ID)] = true
			if addr := j.directory.Keep(wire.NodeOf(string(s.ID))); addr != "" {
				now.Servers[string(s.ID)] = []string{addr}
			}
		}
		j.directory.Forget(configured, time.Now())
		if j.dir == nil || now.Equal(saved) {
			continue
		}
		if err := j.dir.SavePeers(now); err != nil {
			j.warnOnce("save peers", "the addresses of the other members cannot be saved", err)
			continue
		}
		saved = now
	}
}
