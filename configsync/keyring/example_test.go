package keyring_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
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

func (n *oneNode) Wait(context.Context, uint64) error   { return nil }
func (n *oneNode) Barrier(context.Context) error        { return nil }
func (n *oneNode) Applied() uint64                      { return n.index }
func (n *oneNode) Spread(context.Context, uint64) error { return nil }
func (n *oneNode) Staleness() time.Duration             { return 0 }
func (n *oneNode) Level() int                           { return 4 }

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

// What is protected for one purpose, and one visitor, is of no use for another.
func ExamplePurpose_Protect() {
	node := &oneNode{machine: keyring.NewMachine()}
	ring := keyring.New(node, func() *keyring.Machine { return node.machine })
	ctx := context.Background()
	if err := ring.Ensure(ctx, "app"); err != nil {
		fmt.Println(err)
		return
	}

	resets := ring.Purpose("app", "password resets")
	link, err := resets.Protect([]byte("valid until noon"), []byte("alice"))
	if err != nil {
		fmt.Println(err)
		return
	}

	text, err := resets.Unprotect(ctx, link, []byte("alice")) // on any node
	fmt.Printf("%s, %v\n", text, err)

	_, err = resets.Unprotect(ctx, link, []byte("mallory"))
	fmt.Println(errors.Is(err, keyring.ErrForged))
	_, err = ring.Purpose("app", "invitations").Unprotect(ctx, link, []byte("alice"))
	fmt.Println(errors.Is(err, keyring.ErrForged))

	ring.Revoke(ctx, "app", 1, 1)
	_, err = resets.Unprotect(ctx, link, []byte("alice"))
	fmt.Println(errors.Is(err, keyring.ErrExpired))
	// Output:
	// valid until noon, <nil>
	// true
	// true
	// true
}

// A Purpose has sub-keys for whatever is signed. All of them change when the ring's keys do.
func ExamplePurpose_Current() {
	node := &oneNode{machine: keyring.NewMachine()}
	ring := keyring.New(node, func() *keyring.Machine { return node.machine })
	if err := ring.Ensure(context.Background(), "app"); err != nil {
		fmt.Println(err)
		return
	}
	id, a, _ := ring.Purpose("app", "downloads").Current()
	_, b, _ := ring.Purpose("app", "uploads").Current()
	fmt.Println(id, len(a), hmac.Equal(a, b))
	// Output: 1 32 false
}
