package farm_test

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// A node that starts and finds no majority knows of no releases; it keeps the content that is on its disk all the
// same, however long that lasts.
//
// Slow: an hour of a node that looks for others is some seconds of work.
func TestSweep_NoMajority(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{}
	farmtest.Config{Nodes: 3, Durable: true, Handler: banner, Configure: func(n *farmtest.Node, c *farm.Config) {
		dirs[n.Name()] = c.Dir
		c.Configs = []configsync.Declared{siteOf}
		if n.Name() == "n3" {
			c.Role = cluster.Staging
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		if _, err := f.Nodes[2].Farm().Publish(t.Context(), siteFS("public/a.txt", "1"), farm.Publication{}); err != nil {
			t.Fatal(err)
		}
		blobs := func() (count int) {
			dir := filepath.Join(dirs["n1"], "content", "sha256")
			filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					count++
				}
				return nil
			})
			return count
		}
		had := blobs()
		for _, n := range f.Nodes {
			n.Kill()
		}
		f.Nodes[0].Restart()
		time.Sleep(62 * time.Minute)
		if has := blobs(); had == 0 || has != had {
			t.Errorf("it has %d blobs of %d", has, had)
		}
		for _, n := range f.Nodes[1:] {
			n.Restart()
		}
	})
}
