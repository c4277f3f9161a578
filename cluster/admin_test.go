package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
	"github.com/seed48eb2e21/webfarm/cluster/internal/port"
	"github.com/seed48eb2e21/webfarm/cluster/internal/replica"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// operator returns a client on a machine of its own that knows all nodes of the lab.
func (l *lab) operator() *admin.Client {
	l.t.Helper()
	cfg := admin.Config{Secrets: l.nodes[0].conf.Secrets, Network: l.net.Host("10.0.0.99")}
	for _, n := range l.nodes {
		cfg.Nodes = append(cfg.Nodes, n.conf.Listen)
	}
	c, err := admin.New(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// farm returns what the node tells an operator of the farm.
func (l *lab) farm(n *labNode) admin.Farm {
	l.t.Helper()
	f, err := l.operator().At(n.conf.Listen).Farm(l.ctx(20 * time.Second))
	if err != nil {
		l.t.Fatalf("%s: %v", n.conf.Name, err)
	}
	return f
}

func namesOf(f admin.Farm, ok func(admin.Member) bool) (out []string) {
	for _, m := range f.Members {
		if ok(m) {
			out = append(out, m.Name)
		}
	}
	return out
}

func TestOperatorSeesTheFarm(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		leader.must("append x 1")
		l.agree()
		for _, n := range l.nodes {
			f := l.farm(n)
			voters, alive := f.Voters()
			if f.Name != "webfarm" || f.ClusterID != leader.State().ClusterID || f.Answered != n.ID() ||
				f.Leader != leader.ID() ||
				!f.Quorum || !f.Durable || voters != 3 || alive != 3 {
				t.Errorf("%s says %+v", n.conf.Name, f)
			}
			for _, m := range f.Members {
				if m.Applied == 0 || m.Lag != 0 || m.Leader != (m.ID == leader.ID()) ||
					m.Role != "ordinary" || m.Level != wire.ProtocolMax {
					t.Errorf("%s says of a member: %+v", n.conf.Name, m)
				}
			}
		}
		l.cut(others[0])
		time.Sleep(10 * time.Second)
		l.net.Heal() // for the operator; the farm needs a moment
		l.cut(others[0], &labNode{ip: "10.0.0.99"})
		f := l.farm(others[0])
		if f.Quorum || len(namesOf(f, func(m admin.Member) bool {
			return m.Status == admin.Dead &&
				m.Vote == admin.Voter
		})) != 2 {
			t.Errorf("the node that is cut off says %+v", f)
		}
	})
}

// A node answers operators before it belongs to any farm.
func TestOperatorOfAFarmThatForms(t *testing.T) {
	t.Parallel()
	unformed(t, 2, false, func(l *lab) {
		n := l.nodes[0]
		n.conf.Join = []string{l.nodes[1].conf.Listen}
		n.start()
		if f := l.farm(n); f.ClusterID != "" || f.Quorum || len(f.Members) != 1 {
			t.Errorf("%+v", f)
		}
		if _, err := l.operator().Backup(l.ctx(time.Minute), io.Discard); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("backup of nothing: %v", err)
		}
		l.nodes[1].start()
		l.ready(l.nodes...)
	})
}

func TestOperatorHasAMemberLeave(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		l.leader()
		op := l.operator()
		gone, asked := l.nodes[2], l.nodes[0]
		if err := op.At(asked.conf.Listen).Remove(l.ctx(time.Minute),
			gone.ID()); !errors.Is(err, admin.ErrRefused) {
			t.Errorf("removing a member that lives: %v", err)
		}
		if err := op.Leave(l.ctx(time.Minute), "nobody"); !errors.Is(err, admin.ErrNoMember) {
			t.Errorf("a member that does not exist: %v", err)
		}
		if err := op.At(asked.conf.Listen).Leave(l.ctx(time.Minute), gone.ID()); err != nil {
			t.Fatal(err)
		}
		l.until(time.Minute, "it is out", func() bool {
			_, found := l.farm(asked).Find(gone.ID())
			return !found
		})
		gone.stop()
		l.until(time.Minute, "one voter or two remain", func() bool {
			voters, alive := l.farm(asked).Voters()
			return voters == alive && voters <= 2
		})
		asked.must("append x 1")
	})
}

func TestOperatorFinalizes(t *testing.T) {
	t.Parallel()
	unformed(t, 2, false, func(l *lab) {
		l.nodes[0].hooks.maxLevel = wire.LevelFirst
		l.nodes[1].conf.Join = []string{l.nodes[0].conf.Listen}
		l.nodes[0].start()
		l.nodes[1].start()
		l.ready(l.nodes...)
		for _, n := range l.nodes {
			_, err := l.operator().At(n.conf.Listen).Finalize(l.ctx(time.Minute))
			if !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "n1") {
				t.Errorf("%s: held back by n1: %v", n.conf.Name, err)
			}
		}
		l.nodes[0].stop()
		l.nodes[0].hooks.maxLevel, l.nodes[0].conf.Join = 0, []string{l.nodes[1].conf.Listen}
		l.nodes[0].start()
		l.ready(l.nodes...)
		done, err := l.operator().Finalize(l.ctx(time.Minute))
		if f := l.farm(l.nodes[1]); err != nil || done.Level != wire.ProtocolMax ||
			f.Level != wire.ProtocolMax {
			t.Errorf("finalized at level %d, %v; the farm is at %d", done.Level, err, f.Level)
		}
	})
}

// A node may not leave if the farm would lose its majority by that.
func TestOperatorCannotCostQuorum(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		l.leader()
		op := l.operator()
		dead := l.nodes[2]
		dead.kill()
		live := l.nodes[0]
		l.until(time.Minute, "it is found dead", func() bool {
			m, _ := l.farm(live).Find("n3")
			return m.Status == admin.Dead
		})
		err := op.At(live.conf.Listen).Leave(l.ctx(time.Minute), l.nodes[1].ID())
		if !errors.Is(err, admin.ErrRefused) ||
			!strings.Contains(err.Error(), "2 voters and 1 of them alive, and not about to stop") {
			t.Errorf("the second of three voters to go: %v", err)
		}
		if err := op.At(live.conf.Listen).Leave(l.ctx(time.Minute),
			dead.ID()); !errors.Is(err, admin.ErrRefused) ||
			!strings.Contains(err.Error(), "-dead n3") {
			t.Errorf("a dead member to leave: %v", err)
		}
		for _, n := range l.nodes[:2] { // whoever leads
			if err := op.At(n.conf.Listen).Remove(l.ctx(time.Minute), dead.ID()); err != nil {
				t.Errorf("%s: remove a dead member: %v", n.conf.Name, err)
			}
		}
		l.until(time.Minute, "two vote", func() bool {
			voters, alive := l.farm(live).Voters()
			return voters == 2 && alive == 2
		})
		removed := func() bool { // whoever leads was told
			return slices.ContainsFunc(l.nodes[:2], func(n *labNode) bool {
				m, _ := n.State().Member(dead.ID())
				return m.Removed
			})
		}
		if !removed() {
			t.Error("nobody knows that an operator has removed it")
		}
		live.must("append x 1")
		l.cut(l.nodes[0], &labNode{ip: "10.0.0.99"})
		time.Sleep(10 * time.Second)
		if err := op.At(live.conf.Listen).Remove(l.ctx(time.Minute),
			l.nodes[1].ID()); !errors.Is(err, admin.ErrNoQuorum) {
			t.Errorf("remove without a majority: %v", err)
		}
		l.net.Heal()
		dead.start() // it was not told; it is taken in again
		l.ready(dead)
		if removed() {
			t.Error("it is back, and counts as removed")
		}
	})
}

// Nodes leave one after the other: two that leave at once could each count on the other one.
func TestNobodyLeavesWhileAnotherOneDoes(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		l.leader()
		first, asked := l.nodes[0], l.nodes[1]
		first.stopping.sayLeaving()
		l.until(time.Minute, "it is known", func() bool {
			m, _ := l.farm(asked).Find(first.ID())
			return m.Leaving
		})
		err := l.operator().At(asked.conf.Listen).Leave(l.ctx(time.Minute), l.nodes[2].ID())
		if !errors.Is(err, admin.ErrRefused) ||
			!strings.Contains(err.Error(), "wait until those that leave are gone") {
			t.Errorf("the second of three at once: %v", err)
		}
	})
}

// Nodes pass on to each other what operators ask. Whoever has only a certificate of a node, and is no member,
// cannot operate the farm by that way.
func TestPeerWithoutSecretDoesNotOperate(t *testing.T) {
	ca := newAuthority(t)
	asked := make(chan struct{}, 2)
	n := openTest(t, Config{Secrets: []string{testSecret}, PeerTLS: ca.node("n1"),
		Program: Program{Leave: func() { asked <- struct{}{} }}})
	ready(t, n)
	tr, err := trust.New("webfarm", []string{admin.NewSecret()})
	if err != nil {
		t.Fatal(err)
	}
	id, err := tr.Own(ca.node("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := port.Open(port.System{}, "127.0.0.1:0", id, testLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.Dial(within(t, 10*time.Second), n.Addr(), protoRPC, "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	h := wire.Hello{Level: wire.LevelFirst, Code: wire.Code(wire.ProtocolMax), Cluster: n.State().ClusterID,
		Source: "mallory.0123", Last: 1 << 40}
	if err := wire.WriteHello(c, h); err != nil {
		t.Fatal(err)
	}
	if ack, err := wire.ReadHello(c); err != nil || ack.Code != wire.CodeOK {
		t.Fatalf("%v, %v", ack, err)
	}
	b := `{"verb":"leave","node":"n1"}`
	if err := wire.WriteFrame(bufio.NewWriter(c), 1, byte(wire.MethodOperate), []byte(b)); err != nil {
		t.Fatal(err)
	}
	_, _, out, err := wire.ReadFrame(bufio.NewReader(c))
	if err != nil {
		t.Fatal(err)
	}
	if err := adminwire.Unpack(out, nil); !errors.Is(err, admin.ErrRefused) || len(asked) > 0 {
		t.Errorf("who is no member had a node leave: %v, %d", err, len(asked))
	}
}

// The program decides what is done before its node leaves.
func TestOnLeave(t *testing.T) {
	t.Parallel()
	unformed(t, 2, false, func(l *lab) {
		asked := make(chan struct{}, 2)
		l.nodes[1].conf.Program.Leave = func() { asked <- struct{}{} }
		l.nodes[0].start()
		l.nodes[1].conf.Join = []string{l.nodes[0].conf.Listen}
		l.nodes[1].start()
		l.ready(l.nodes...)
		for range 2 {
			if err := l.operator().Leave(l.ctx(time.Minute), l.nodes[1].ID()); err != nil {
				t.Fatal(err)
			}
		}
		<-asked
		time.Sleep(10 * time.Second)
		if len(asked) > 0 || l.nodes[1].Handle("kv").Barrier(l.ctx(time.Minute)) != nil {
			t.Error("the program was asked twice, or the node has left by itself")
		}
	})
}

func TestBackup(t *testing.T) {
	t.Parallel()
	inLab(t, 3, true, func(l *lab) {
		leader, others := l.leader()
		leader.must("append x 1")
		var b bytes.Buffer
		// a follower has it, too
		h, err := l.operator().At(others[0].conf.Listen).Backup(l.ctx(time.Minute), &b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Farm != "webfarm" || h.ClusterID != leader.State().ClusterID || !h.Current ||
			h.Node != others[0].conf.Name ||
			h.Members != 3 || !slices.Equal(h.Machines, []string{"kv"}) || h.Index == 0 ||
			h.LogTime.IsZero() {
			t.Errorf("header %+v", h)
		}
		r, err := backup.NewReader(&b)
		if err != nil {
			t.Fatal(err)
		}
		machines := func() map[string]replica.Machine { return map[string]replica.Machine{"kv": newKV()} }
		f := replica.New(replica.Config{Machines: machines, MaxLevel: wire.ProtocolMax})
		if err := f.Restore(io.NopCloser(r)); err != nil {
			t.Fatal(err)
		}
		if index, _ := f.View(); index != h.Index {
			t.Errorf("state up to %d, header says %d", index, h.Index)
		}
		if got, want := f.Machine("kv").(*kv).State(),
			leader.Handle("kv").Local().(*kv).State(); !bytes.Equal(got, want) {
			t.Errorf("restored\n%s\nwant\n%s", got, want)
		}
	})
}

// The error of a full disk does not say that a connection was lost.
func TestBackupToAFullDisk(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	ready(t, n)
	r, w := io.Pipe()
	r.CloseWithError(errUnwritable)
	_, err := loopbackOperator(t, n, testSecret, nil).Backup(within(t, time.Minute), w)
	if !errors.Is(err, errUnwritable) || errors.Is(err, admin.ErrInterrupted) {
		t.Errorf("%v, want what the writer said", err)
	}
}

// A connection that is cut in the middle of a backup gives an error, wherever that is.
func TestBackupCut(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	if err := n.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if _, _, err := n.Handle("kv").Propose(within(t, time.Minute),
			[]byte("append k"+strings.Repeat("x", i)+" "+strings.Repeat("v", 8<<10))); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []int{0, 4 << 10, 100 << 10, 200 << 10} {
		c := loopbackOperator(t, n, testSecret, &cutNetwork{after: after})
		if _, err := c.Backup(within(t, time.Minute), io.Discard); err == nil {
			t.Errorf("a backup over a connection that was cut after %d bytes came through", after)
		} else if !errors.Is(err, admin.ErrInterrupted) && !errors.Is(err, admin.ErrUnreachable) &&
			!errors.Is(err, admin.ErrNotAuthorized) {
			t.Errorf("cut after %d bytes: %v", after, err)
		}
	}
	if _, err := loopbackOperator(t, n, testSecret, nil).Backup(within(t, time.Minute),
		io.Discard); err != nil {
		t.Error(err)
	}
}

const testSecret = "6b1f0e0b5d0c4c0c9a4e8f2d7a3b1c5d"

func loopbackOperator(t *testing.T, n *Node, secret string, nw admin.Network) *admin.Client {
	t.Helper()
	cfg := admin.Config{Nodes: []string{n.Addr()}, Network: nw, Timeout: 10 * time.Second}
	if secret != "" {
		cfg.Secrets = []string{secret}
	}
	c, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cutNetwork cuts connections off after so many bytes that were read.
type cutNetwork struct {
	port.System
	after int
}

func (n *cutNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := n.System.Dial(ctx, addr)
	return &cutConn{c, n.after}, err
}

type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.Close()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func TestStrangersDoNotOperate(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	open := openTest(t, Config{Name: "n2", Farm: "webfarm"})
	for _, c := range []struct {
		name   string
		at     *Node
		secret string
		want   error
		text   string
	}{
		{"the secret", n, testSecret, nil, ""},
		{"another secret", n, admin.NewSecret(), admin.ErrNotAuthorized, "another secret"},
		{"no secret", n, "", admin.ErrNotAuthorized, "none was given"},
		{"on loopback without", open, "", nil, ""},
		{"a secret too much", open, testSecret, admin.ErrNotAuthorized, "another secret"},
	} {
		f, err := loopbackOperator(t, c.at, c.secret, nil).Farm(within(t, time.Minute))
		switch {
		case c.want == nil && (err != nil || f.Answered != c.at.ID()):
			t.Errorf("%s: %+v, %v", c.name, f, err)
		case c.want != nil && (!errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%s: %v, want one that says %q", c.name, err, c.text)
		}
	}
	c, err := admin.New(admin.Config{Farm: "depot", Nodes: []string{n.Addr()}, Secrets: []string{testSecret}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Farm(within(t, time.Minute)); !errors.Is(err, admin.ErrNotAuthorized) ||
		!strings.Contains(err.Error(), `"webfarm"`) {
		t.Errorf("another farm: %v", err)
	}
	if _, err := c.At("127.0.0.1:1").Farm(within(t, time.Minute)); !errors.Is(err, admin.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
}

// With too many connections the next one is told that nothing was done.
func TestTooManyOperators(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	id, err := n.trust.AdminClient()
	if err != nil {
		t.Fatal(err)
	}
	for range maxOperators {
		c, err := port.DialAdmin(t.Context(), port.System{}, n.Addr(), port.ProtoAdmin, id)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ctx := within(t, 20*time.Second) // the others hold their places for longer
	for op := loopbackOperator(t, n, testSecret, nil); ; {
		_, err := op.Farm(ctx)
		if err == nil {
			continue // the last of the others was dialled and had not come through to the node
		}
		if errors.Is(err, admin.ErrUnreachable) && ctx.Err() == nil {
			continue // it was told, and closed a second later, before a busy machine let it read that
		}
		if !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "try again") {
			t.Errorf("one too many: %v", err)
		}
		return
	}
}

// A node ends the connection in the middle, or takes no operators. The error does not say that the operator
// is not authorized.
func TestGoneIsNotUnauthorized(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	id, err := n.trust.AdminServer("n1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", id.Config("webfarm-admin/1"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	op := loopbackOperator(t, n, testSecret, nil)
	_, err = op.At(l.Addr().String()).Farm(within(t, time.Minute))
	if !errors.Is(err, admin.ErrUnreachable) || errors.Is(err, admin.ErrNotAuthorized) {
		t.Errorf("one that stops in the middle: %v", err)
	}
	n.operators.calls.Close()
	if _, err := op.Farm(within(t, time.Minute)); !errors.Is(err, admin.ErrUnsupported) ||
		errors.Is(err, admin.ErrNotAuthorized) {
		t.Errorf("one that takes no operators: %v", err)
	}
}

// A node with certificates of another PKI answers an operator who knows the farm's secret. A certificate of
// that PKI makes nobody an operator.
func TestOperatorOfPeerTLS(t *testing.T) {
	ca := newAuthority(t)
	n := openTest(t, Config{Secrets: []string{testSecret}, PeerTLS: ca.node("n1")})
	if f, err := loopbackOperator(t, n, testSecret, nil).Farm(within(t, time.Minute)); err != nil ||
		f.Answered != "n1" {
		t.Errorf("%+v, %v", f, err)
	}
	if c, err := n.port.Dial(within(t, time.Minute), n.Addr(), "admin", ""); err == nil {
		c.Close()
		t.Error("a peer's certificate opened what is the operators'")
	}
}

// An operator's connection is trusted no more than any other one: no bytes on it do harm, and it ends if it
// is silent.
func TestHostileOperator(t *testing.T) {
	n := openTest(t, Config{Name: "n1", Secrets: []string{testSecret}})
	id, err := n.trust.AdminClient()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{
		"an unknown verb":     "\x00\x00\x00\x10\x01" + `{"verb":"dance"}`,
		"no request":          "\x00\x00\x00\x02\x04{}",
		"no JSON":             "\x00\x00\x00\x02\x01}{",
		"a frame without end": "\xff\xff\xff\xff\x01{}",
		"leave of nobody":     "\x00\x00\x00\x10\x01" + `{"verb":"leave"}`,
		"half a frame":        "\x00\x00",
	} {
		c, err := port.DialAdmin(t.Context(), port.System{}, n.Addr(), port.ProtoAdmin, id)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(b))
		if name == "half a frame" {
			c.Close()
			continue
		}
		head := make([]byte, 5)
		if _, err := io.ReadFull(c, head); err != nil || head[4] != 5 {
			t.Errorf("%s: answered by %v, %v; want a failure", name, head, err)
		}
		c.Close()
	}
	if _, err := loopbackOperator(t, n, testSecret, nil).Farm(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
}

// An order reaches the program on the node that is named, whichever node is asked. If the program refuses,
// the operator is told.
func TestOnOrder(t *testing.T) {
	t.Parallel()
	unformed(t, 2, false, func(l *lab) {
		got := make(chan string, 9)
		l.nodes[1].conf.Program.Order = func(_ context.Context, order string) error {
			got <- order
			return map[string]error{"dance": errors.New("not today"),
				"wait": fmt.Errorf("drain: %w", ErrUncertain),
				"vote": fmt.Errorf("drain: %w: %w", ErrNoLeader, context.DeadlineExceeded)}[order]
		}
		l.nodes[0].start()
		l.nodes[1].conf.Join = []string{l.nodes[0].conf.Listen}
		l.nodes[1].start()
		l.ready(l.nodes...)
		for _, by := range l.nodes {
			op := l.operator().At(by.conf.Listen)
			if err := op.Order(l.ctx(time.Minute), l.nodes[1].ID(), "drain"); err != nil || <-got != "drain" {
				t.Errorf("by %s: %v", by.conf.Name, err)
			}
			err := op.Order(l.ctx(time.Minute), l.nodes[1].ID(), "dance")
			if !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "not today") ||
				<-got != "dance" {
				t.Errorf("by %s: %v", by.conf.Name, err)
			}
			for word, want := range map[string]error{"wait": admin.ErrInterrupted, "vote": admin.ErrNoQuorum} {
				err := op.Order(l.ctx(time.Minute), l.nodes[1].ID(), word)
				if !errors.Is(err, want) || <-got != word {
					t.Errorf("%s by %s: %v, want %v", word, by.conf.Name, err, want)
				}
			}
			err = op.Order(l.ctx(time.Minute), l.nodes[0].ID(), "drain")
			if !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "takes no orders") {
				t.Errorf("by %s: %v", by.conf.Name, err)
			}
			if err := op.Order(l.ctx(time.Minute), "nobody", "drain"); !errors.Is(err, admin.ErrNoMember) {
				t.Errorf("by %s: %v", by.conf.Name, err)
			}
		}
		m, ok := l.farm(l.nodes[0]).Find(l.nodes[1].conf.Name)
		if age := time.Since(m.Started); !ok || age < 0 || age > time.Hour {
			t.Errorf("it was started at %v, %v ago", m.Started, age)
		}
		l.nodes[1].stop()
		if err := l.operator().Order(l.ctx(time.Minute), l.nodes[1].ID(), "drain"); !errors.Is(err,
			admin.ErrNoMember) &&
			!errors.Is(err, admin.ErrRefused) {
			t.Errorf("it has stopped: %v", err)
		}
		l.restart()
	})
}

// An outcome that is certain is told as certain, also if the operator's deadline has passed by then.
func TestProgramFailed(t *testing.T) {
	o := &operators{base: &base{cfg: Config{Name: "n1"}}}
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for err, want := range map[error]error{
		errors.New("no such job"):                      admin.ErrRefused,
		ErrUncertain:                                   admin.ErrInterrupted,
		ErrClosed:                                      admin.ErrInterrupted,
		errors.Join(ErrUncertain, ErrNoLeader):         admin.ErrInterrupted,
		errors.Join(ErrNoLeader, over.Err()):           admin.ErrNoQuorum,
		errors.Join(ErrOverloaded, over.Err()):         admin.ErrNotNow,
		errors.Join(errors.New("a query"), over.Err()): admin.ErrInterrupted,
		errors.Join(errors.New("a"), context.Canceled): admin.ErrRefused, // by the program's own context
	} {
		if got := o.programFailed(over, err); !errors.Is(got, want) {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
