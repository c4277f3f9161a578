package farmtest_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	bubbles "github.com/seed48eb2e21/webfarm/internal/bubble"
)

func ExampleFarm_Publish() {
	bubbles.Example(func(t *testing.T) { // in a test file: func TestSale(t *testing.T)
		farmtest.Config{Handler: pages, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			epoch, err := f.Publish(fstest.MapFS{ // or os.DirFS("site")
				"public/index.html": {Data: []byte("Spring!")},
				"config/site.yaml":  {Data: []byte("banner: Sale\n")},
			})
			fmt.Println(epoch, err)
			for _, n := range f.Nodes {
				_, page := n.Get("/")
				_, banner := n.Get("/banner")
				fmt.Println(n, page, banner)
			}
		})
	})
	// Output:
	// 1 <nil>
	// n1 Spring! Sale 300 0s
	// n2 Spring! Sale 300 0s
	// n3 Spring! Sale 300 0s
}

func ExampleFarm_SetConfig() {
	bubbles.Example(func(t *testing.T) { // in a test file: func TestPrices(t *testing.T)
		farmtest.Config{Handler: pages, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			fmt.Println(f.SetConfig("site", "prices.tea", 320))
			fmt.Println(f.SetConfig("site", "prices.tea", 9999))
			fmt.Println(f.Nodes[2].Get("/banner"))
		})
	})
	// Output:
	// 1 <nil>
	// 0 site.yaml: nobody buys tea at that price
	// 200 Welcome 320 0s
}

func ExampleFarm_AwaitEpoch() {
	bubbles.Example(func(t *testing.T) { // in a test file: func TestLateNode(t *testing.T)
		farmtest.Config{Durable: true, Handler: pages, Configure: withSite}.Run(t, func(t *testing.T, f *farmtest.Farm) {
			late := f.Others(f.Leader())[0]
			late.Kill()
			epoch, _ := f.SetConfig("site", "banner", "Sale") // waits for those that run
			late.Restart()
			f.AwaitEpoch(epoch)
			fmt.Println(late.Get("/banner"))
		})
	})
	// Output: 200 Sale 300 0s
}

func ExampleNode_Drain() {
	bubbles.Example(func(t *testing.T) { // in a test file: func TestDrain(t *testing.T)
		farmtest.Run(t, 2, pages, func(t *testing.T, f *farmtest.Farm) {
			n := f.Nodes[1]
			ended := n.Drain()
			ready, _ := n.Get("/readyz")
			_, by := n.Get("/node") // the other one answers
			fmt.Println(ready, by, ended())
			n.Undrain()
			_, by = n.Get("/node")
			fmt.Println(by)
		})
	})
	// Output:
	// 503 n1 <nil>
	// n2
}
