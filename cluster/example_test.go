package cluster_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// counter is a state machine: every command adds one, the answer is the sum.
type counter struct{ n atomic.Uint64 }

func (c *counter) Apply(_ uint64, _ time.Time, _ []byte) []byte { return fmt.Append(nil, c.n.Add(1)) }
func (c *counter) Query([]byte) []byte                          { return fmt.Append(nil, c.n.Load()) }
func (c *counter) Snapshot() io.WriterTo                        { return image(c.n.Load()) }

func (c *counter) Restore(r io.Reader) error {
	var n uint64
	if err := binary.Read(r, binary.BigEndian, &n); err != nil {
		return err
	}
	c.n.Store(n)
	return nil
}

type image uint64

func (i image) WriteTo(w io.Writer) (int64, error) {
	return 8, binary.Write(w, binary.BigEndian, uint64(i))
}

// node is a Node whose data directory is removed when it is closed.
type node struct {
	*cluster.Node
	dir string
}

func (n node) Close() error { return errors.Join(n.Node.Close(), os.RemoveAll(n.dir)) }

// open opens a node that counts. The first node of a cluster has no Join addresses, and founds it by itself.
func open(ctx context.Context, name string, join ...string) (n node, err error) {
	if n.dir, err = os.MkdirTemp("", "counter"); err != nil {
		return n, err
	}
	expect := 0
	if len(join) == 0 {
		expect = 1
	}
	n.Node, err = cluster.Open(ctx, cluster.Config{
		Name:   name,
		Dir:    n.dir,
		Join:   join,
		Expect: expect,
		Machines: map[string]func() cluster.StateMachine{
			"counter": func() cluster.StateMachine { return &counter{} },
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return n, errors.Join(err, os.RemoveAll(n.dir))
	}
	if err := n.Ready(ctx); err != nil {
		return n, errors.Join(err, n.Close())
	}
	return n, nil
}

// Two nodes of one process make a cluster; both count on one counter.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := open(ctx, "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := open(ctx, "b", a.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	a.Handle("counter").Propose(ctx, nil)
	_, sum, err := b.Handle("counter").Propose(ctx, nil)
	fmt.Println("b counts", string(sum), err)

	h := a.Handle("counter")
	err = h.Barrier(ctx) // from here on a's own copy is as new as what b was told
	fmt.Println("a reads", h.Local().(*counter).n.Load(), err)
	// Output:
	// b counts 2 <nil>
	// a reads 2 <nil>
}

func ExampleHandle_Propose() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := open(ctx, "alone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	h := n.Handle("counter")
	index, first, _ := h.Propose(ctx, nil)
	later, second, _ := h.Propose(ctx, nil)
	fmt.Println(string(first), string(second), later > index)
	// Output: 1 2 true
}

func ExampleHandle_Query() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := open(ctx, "alone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer n.Close()
	h := n.Handle("counter")
	h.Propose(ctx, nil)
	answer, err := h.Query(ctx, nil) // asked of the leader
	fmt.Println(string(answer), err)
	// Output: 1 <nil>
}

func ExampleHandle_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := open(ctx, "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := open(ctx, "b", a.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	index, _, _ := a.Handle("counter").Propose(ctx, nil)
	h := b.Handle("counter")
	err = h.Wait(ctx, index) // b now has what a was told
	fmt.Println(h.Local().(*counter).n.Load(), err)
	// Output: 1 <nil>
}

func ExampleNode_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := open(ctx, "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := open(ctx, "b", a.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	for s := range a.Watch(ctx) {
		if len(s.Members) == 2 && s.Members[1].Vote == cluster.Voter {
			fmt.Println(s.Members[1].Name, "is", s.Members[1].Status, "and votes")
			break
		}
	}
	// Output: b is alive and votes
}

func ExampleNode_Dial() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := open(ctx, "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := open(ctx, "b", a.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	l := a.Listener("greet")
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "hello, %v", cluster.PeerID(c) == b.ID())
	}()
	c, err := b.Dial(ctx, a.ID(), "greet")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	text, _ := io.ReadAll(c)
	fmt.Println(string(text))
	// Output: hello, true
}

func ExampleNode_Leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := open(ctx, "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := open(ctx, "b", a.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	fmt.Println("b leaves:", b.Leave(ctx)) // for good; Close would mean "back soon"
	_, sum, err := a.Handle("counter").Propose(ctx, nil)
	fmt.Println("a goes on:", string(sum), err)
	// Output:
	// b leaves: <nil>
	// a goes on: 1 <nil>
}
