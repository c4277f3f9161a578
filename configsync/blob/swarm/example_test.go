package swarm_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/blob/swarm"
)

// One node serves what it has, and another one fetches it. In a farm the connections are those of the peer
// port.
func ExampleFetcher_Fetch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	first, err := blob.OpenStore(blob.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	h, _ := first.Put(ctx, blob.Hash{}, strings.NewReader("Welcome"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go swarm.NewHandler(first, swarm.HandlerConfig{}).Serve(ctx, ln)

	second, err := blob.OpenStore(blob.StoreConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()
	var present swarm.Roster
	present.Set([]string{"n1"})
	f := swarm.NewFetcher(swarm.FetcherConfig{
		Store: second,
		Peers: present.Present,
		Dial: func(ctx context.Context, peer string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		},
	})
	defer f.Close()
	err = f.Fetch(ctx, []blob.Ref{{Hash: h, Size: 7}}, nil)
	fmt.Println(second.Has(h), err)
	// Output: true <nil>
}
