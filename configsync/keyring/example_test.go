package keyring_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/keyring"
)

// oneNode is the log of a farm of one. In a farm of many, a handle of package cluster is.
type oneNode struct {
	machine *keyring.Machine
	index   uint64
}

func (n *oneNode) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	n.index++
	return n.index, n.machine.Apply(n.index, time.Now(), cmd), nil
}

func (n *oneNode) Wait(context.Context, uint64) error { return nil }

func Example() {
	node := &oneNode{machine: keyring.NewMachine()}
	ring := keyring.New(node, func() *keyring.Machine { return node.machine })
	if err := ring.Ensure(context.Background(), "invitations"); err != nil {
		fmt.Println(err)
		return
	}

	id, key, _ := ring.Current("invitations") // sign; the id travels with the signature
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("for alice"))
	signature := mac.Sum(nil)

	key, ok := ring.Key("invitations", id) // verify, on any node
	mac = hmac.New(sha256.New, key)
	mac.Write([]byte("for alice"))
	fmt.Println(ok && hmac.Equal(signature, mac.Sum(nil)))
	// Output: true
}
