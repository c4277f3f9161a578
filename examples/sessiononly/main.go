// Sessiononly uses replicated sessions without package farm: no forwarding, no gate, only a cluster and a session manager in
// a program that does everything else its own way.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/session"
)

var visits = session.NewKey[int]("visits")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) { // interrupted while it waited for the others
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	addr := flag.String("http", "127.0.0.1:8080", "public `address`")
	peer := flag.String("peer", "127.0.0.1:0", "`address` for the other nodes")
	join := flag.String("join", "", "peer `addresses` of other nodes, by commas")
	dir := flag.String("dir", "", "data `directory`; none: memory only")
	flag.Parse()

	node, err := cluster.Open(ctx, cluster.Config{
		Listen: *peer,
		Join:   strings.FieldsFunc(*join, func(r rune) bool { return r == ',' }),
		Dir:    *dir,
		Machines: map[string]func() cluster.StateMachine{
			"session": func() cluster.StateMachine { return session.NewMachine() },
			"keyring": func() cluster.StateMachine { return keyring.NewMachine() },
		},
		Levels: map[string]func([]byte) int{"session": session.CommandLevel, "keyring": keyring.CommandLevel},
	})
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.Ready(ctx); err != nil { // without a gate, do not listen before the node is ready
		return err
	}
	sessions, err := openSessions(ctx, node)
	if err != nil {
		return err
	}
	defer sessions.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /", visit)
	return serve(ctx, *addr, sessions.Handler(mux))
}

// openSessions puts a session manager on top of two replicated state machines: the sessions, and the keys that sign their
// tokens. The keys change by themselves, until ctx ends.
func openSessions(ctx context.Context, node *cluster.Node) (*session.Manager, error) {
	keyLog, log := node.Handle("keyring"), node.Handle("session")
	keys := keyring.New(keyLog, func() *keyring.Machine { return keyLog.Local().(*keyring.Machine) })
	if err := keys.Ensure(ctx, session.KeyPurpose); err != nil {
		return nil, err
	}
	go keys.Keep(ctx, keyring.Keeping{Policies: map[string]keyring.Policy{session.KeyPurpose: {}}})
	store := session.NewReplicated(log,
		func() *session.Machine { return log.Local().(*session.Machine) },
		func() string { return node.State().ClusterID })
	return session.New(store, session.Config{
		Keys:   keys,
		Cookie: session.Cookie{Insecure: true}, // plain HTTP on loopback; leave it out behind HTTPS
	})
}

func visit(w http.ResponseWriter, r *http.Request) {
	n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "visit %d\n", n)
}

// serve answers until ctx ends, and lets running requests finish.
func serve(ctx context.Context, addr string, h http.Handler) error {
	srv := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
