package configsync_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// A farm opens the Manager, over its log; this one is a farm of one node.
func exampleManager(hooks ...configsync.Hook) *configsync.Manager {
	f := newFarm(1)
	m, err := configsync.New(configsync.Settings{Node: "n1", Configs: []configsync.Declared{site}, Log: f,
		Local:   func() *configsync.Machine { return f.machines[0] },
		Changed: f.changed[0], Prepare: hooks})
	if err != nil {
		panic(err)
	}
	return m
}

func ExampleManager_Publish() {
	m := exampleManager()
	defer m.Close()
	ctx := context.Background()
	r, err := m.Publish(ctx, configsync.Publication{
		Write:  configsync.Write{Epoch: 0, Who: "ci", Why: "summer sale"},
		Config: configsync.Files{"site.yaml": "banner: Sale!\n"},
	})
	fmt.Println(r.Epoch, site.Get(m.Context(ctx)).Banner, err)

	_, err = m.Publish(ctx, configsync.Publication{ // as if nobody had published meanwhile
		Write:  configsync.Write{Epoch: 0, Who: "me"},
		Config: configsync.Files{"site.yaml": "banner: Mine\n"},
	})
	fmt.Println(errors.Is(err, configsync.ErrConflict), site.Get(m.Context(ctx)).Banner)
	// Output:
	// 1 Sale! <nil>
	// true Sale!
}

func ExampleManager_Rollback() {
	m := exampleManager()
	defer m.Close()
	ctx := context.Background()
	for epoch, text := range []string{"banner: one\n", "banner: two\n"} {
		c := configsync.Change{Write: configsync.Write{Epoch: uint64(epoch)}, Set: configsync.Files{"site.yaml": text}}
		if _, err := m.Put(ctx, c); err != nil {
			fmt.Println(err)
		}
	}
	epoch, err := m.Rollback(ctx, configsync.Write{Epoch: 2, Who: "me", Why: "two was wrong"}, 1)
	fmt.Println(epoch, site.Get(m.Context(ctx)).Banner, err)
	// Output: 3 one <nil>
}

func ExampleManager_DryRun() {
	m := exampleManager()
	defer m.Close()
	r, err := m.DryRun(context.Background(), configsync.Publication{
		Config: configsync.Files{"site.yaml": "banner: Sale!\nlisten: \":443\"\n"},
	})
	for _, d := range r.Differences {
		fmt.Println(d.Field, d.Old, "->", d.New)
	}
	fmt.Printf("%q %v %v\n", r.Refused, r.Restart, err)
	// Output:
	// banner "Welcome" -> "Sale!"
	// listen ":1" -> ":443"
	// "" [site.listen] <nil>
}

// The new listener is there before the old one is closed, on every node, or nothing changes on any.
func ExampleConfig_OnPrepare() {
	var current net.Listener
	hook := site.OnPrepare(func(ctx context.Context, old, next *Site) (commit, abort func(), err error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", next.Listen)
		if err != nil {
			return nil, nil, err
		}
		commit = func() {
			if current != nil {
				current.Close()
			}
			current = l
		}
		return commit, func() { l.Close() }, nil
	})
	m := exampleManager(hook)
	defer m.Close()
	for _, address := range []string{"127.0.0.1:0", "nowhere"} {
		_, err := m.Put(context.Background(), configsync.Change{
			Write: configsync.Write{Epoch: m.Status().Epoch},
			Set:   configsync.Files{"site.yaml": "listen: " + address + "\n"},
		})
		fmt.Println(errors.Is(err, configsync.ErrRefused), site.Get(m.Context(context.Background())).Listen)
	}
	current.Close()
	// Output:
	// false 127.0.0.1:0
	// true 127.0.0.1:0
}
