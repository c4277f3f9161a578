package farmtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
	"github.com/seed48eb2e21/webfarm/farm/internal/sitefolder"
)

// Publish publishes a site folder as farmctl publish does, such as os.DirFS("site") or a fstest.MapFS, and
// returns its epoch once every running node uses it, but for those that are cut off from the leader. What
// is in force already is no new epoch.
//
// An error says that it was refused, and nothing has changed: content.Problems or configsync.Problems for
// what is wrong with the folder, or configsync.ErrRefused, ErrReturned or ErrBusy. A farm that finds no
// leader within two minutes fails the test.
func (f *Farm) Publish(site fs.FS) (epoch uint64, err error) {
	f.t.Helper()
	leader := f.Leader()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if epoch, err = f.publish(ctx, leader, site); err != nil {
		return 0, err
	}
	f.AwaitEpoch(epoch)
	return epoch, nil
}

// SetConfig sets one field of a configuration for all nodes, as farmctl config set does, and returns its
// epoch once every running node uses it, but for those that are cut off from the leader:
//
//	f.SetConfig("site", "prices.tea", 320)
//
// value is a boolean, a number, a text, a time.Duration, or a slice, map or struct of such, whose fields
// have json tags; nil takes an entry of a map away. An error says that it was refused, and nothing has
// changed: configsync.Problems, or those of Publish.
func (f *Farm) SetConfig(config, field string, value any) (epoch uint64, err error) {
	f.t.Helper()
	m := f.Leader().Farm().Configs()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if d, ok := value.(time.Duration); ok {
		value = d.String()
	}
	text, err := json.Marshal(value) // which is YAML as well
	if err != nil {
		return 0, fmt.Errorf("farmtest: %s.%s: %w", config, field, err)
	}
	files, was, err := m.Files(0)
	if err != nil {
		return 0, err
	}
	name := config + ".yaml"
	if _, there := files[config+".yml"]; there {
		name = config + ".yml"
	}
	changed, err := configsync.SetField(name, files[name], "", field, string(text))
	if err != nil {
		return 0, err
	}
	epoch, err = m.Put(ctx, configsync.Change{Write: configsync.Write{Epoch: was.Number, Who: who},
		Set: configsync.Files{name: changed}})
	if err != nil {
		return 0, err
	}
	f.AwaitEpoch(epoch)
	return epoch, nil
}

// who publishes and changes configuration.
const who = "farmtest"

// AwaitEpoch waits until every running node uses an epoch, or a later one, but for those that are cut off
// from the leader. It fails the test if that takes longer than two minutes.
func (f *Farm) AwaitEpoch(epoch uint64) {
	f.t.Helper()
	f.await(fmt.Sprintf("epoch %d is not in use everywhere", epoch), func() string {
		for _, n := range f.Running() {
			if f.cutOff(n) {
				continue
			}
			m := n.Farm().Configs()
			if s := m.Status(); s.Uses < epoch {
				return fmt.Sprintf("%s uses epoch %d: %s", n, s.Uses, s.Problem)
			}
		}
		return ""
	})
}

// cutOff reports whether a node is kept from a majority by a partition or a cut. One that has just started, or is just
// without a leader, is not.
func (f *Farm) cutOff(n *Node) bool {
	f.mu.Lock()
	whole := f.partition == nil && len(f.cuts) == 0
	f.mu.Unlock()
	if whole {
		return false
	}
	st := n.Farm().Cluster().State()
	return st.Leader == "" || barrier(n.Farm().Cluster(), time.Second) != nil
}

// publish publishes by one node, over the port for operators.
func (f *Farm) publish(ctx context.Context, by *Node, site fs.FS) (epoch uint64, err error) {
	configs := by.Farm().Configs()
	files, err := sitefolder.Config(site)
	if err == nil && files != nil {
		err = configs.Check(files)
	}
	if err != nil {
		return 0, err
	}
	about, err := sitefolder.ReadAbout(site)
	if err != nil {
		return 0, err
	}
	store, err := blob.OpenStore(blob.StoreConfig{Reserve: -1})
	if err != nil {
		return 0, fmt.Errorf("farmtest: %w", err)
	}
	defer store.Close()
	manifest, err := content.Pack(ctx, site, store, content.PackConfig{})
	if err != nil {
		return 0, err
	}
	o := credential.Order{Key: rand.Text(), Made: time.Now().UnixMilli(), Who: who, Why: about.Note,
		Program: about.Program}
	if len(manifest.Files)+len(manifest.Dirs) > 0 {
		o.Root = manifest.Root()
	}
	if files != nil {
		o.Config = credential.FilesHash(files)
	}
	signed, err := f.sign(ctx, configs, o)
	if err != nil {
		return 0, err
	}
	client, hangUp, err := f.operator(by)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	done, err := client.Publish(ctx, signed, files, store, nil)
	return done.Epoch, refused(err)
}

// sign signs an order by the farm's own publisher, whom all nodes know.
func (f *Farm) sign(ctx context.Context, configs *configsync.Manager, o credential.Order) (s credential.Signed,
	err error) {
	f.mu.Lock()
	key := f.publisher
	f.mu.Unlock()
	if key == nil || time.Until(key.NotAfter) < time.Hour {
		until := time.Now().Add(365 * 24 * time.Hour).Truncate(time.Second)
		if key, err = credential.NewKey(farmName, who, until); err != nil {
			return s, fmt.Errorf("farmtest: %w", err)
		}
		f.mu.Lock()
		f.publisher = key
		f.mu.Unlock()
	}
	mint := configsync.Mint{Name: key.Name, Public: key.Public(), NotAfter: key.NotAfter, Who: who}
	if err := configs.Mint(ctx, mint); err != nil {
		return s, fmt.Errorf("farmtest: %w", err)
	}
	return key.Sign(o)
}

// operator returns a client that publishes to a node as farmctl does.
func (f *Farm) operator(at *Node) (c *publish.Client, hangUp func(), err error) {
	client, err := admin.New(admin.Config{Farm: farmName, Secrets: []string{f.secret},
		Nodes: []string{at.address() + peerPort}, Network: f.network.Host(at.visitor)})
	if err != nil {
		return nil, nil, fmt.Errorf("farmtest: %w", err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return client.Dial(ctx) }
	t := &http.Transport{DisableCompression: true, DialContext: dial}
	return &publish.Client{HTTP: &http.Client{Transport: t}, URL: "http://program" + order.PathPublish},
		t.CloseIdleConnections, nil
}

// refusal is why a node has not published something.
type refusal struct {
	text string
	kind error // as a program knows it
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// refused returns an error of a node as farm.Farm.Publish would return it.
func refused(err error) error {
	e, ok := errors.AsType[*order.ReleaseError](err)
	if !ok {
		return err
	}
	for _, k := range []struct {
		kind string
		err  error
	}{{order.KindRefused, configsync.ErrRefused}, {order.KindReturned, configsync.ErrReturned}, {order.KindBusy,
		configsync.ErrBusy}, {order.KindConflict, configsync.ErrConflict},
		{order.KindUncertain, configsync.ErrUncertain}} {
		if e.Kind == k.kind {
			return &refusal{e.Text, k.err}
		}
	}
	return e
}
