package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// etcdClient is a worker's way to its etcd node: several connections, because one alone is a bottleneck for many writers.
type etcdClient struct {
	clients []*clientv3.Client
	next    atomic.Uint64
	addr    string

	mu       sync.Mutex
	sessions map[etcdSession]*concurrency.Session

	seen *sightings // of what was announced
	stop context.CancelFunc
}

// etcdSession is a session of a worker: the same one cannot wait for a lock that it has.
type etcdSession struct {
	number int
	quick  bool
}

const (
	systemEtcd = "etcd"

	etcdConns = 8
	etcdTTL   = 1  // seconds, for sessions that are to expire quickly; the servers make it 2, the least that they give
	longTTL   = 60 // which is the default
)

func newEtcd(s setup) (client, error) {
	e := &etcdClient{addr: s.Endpoints[s.Node], sessions: map[etcdSession]*concurrency.Session{}}
	for range etcdConns {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.addr}, DialTimeout: readyPatience})
		if err != nil {
			return nil, err
		}
		e.clients = append(e.clients, c)
	}
	ctx, stop := context.WithCancel(context.Background())
	if e.stop = stop; s.Watches {
		e.seen = newSightings()
		watched := make(chan struct{})
		go e.watch(ctx, watched)
		<-watched
	}
	return e, untilWritten(e)
}

const announced = "announced"

// watch notes each value that the nearest server says was announced.
func (e *etcdClient) watch(ctx context.Context, begun chan<- struct{}) {
	for w := range e.clients[0].Watch(ctx, announced, clientv3.WithCreatedNotify()) {
		if w.Created {
			close(begun)
		}
		for _, event := range w.Events {
			if value, err := strconv.Atoi(string(event.Kv.Value)); err == nil {
				e.seen.add(value)
			}
		}
	}
}

// Announce implements announcer.
func (e *etcdClient) Announce(ctx context.Context, value int) error {
	_, err := e.client().Put(ctx, announced, strconv.Itoa(value))
	return err
}

// Seen implements announcer.
func (e *etcdClient) Seen() *sightings { return e.seen }

func (e *etcdClient) client() *clientv3.Client { return e.clients[e.next.Add(1)%etcdConns] }

func (e *etcdClient) Write(ctx context.Context, key string, value []byte) error {
	_, err := e.client().Put(ctx, key, string(value))
	return err
}

func (e *etcdClient) Read(ctx context.Context, key string) error {
	_, err := e.client().Get(ctx, key, clientv3.WithSerializable())
	return err
}

func (e *etcdClient) Leads(ctx context.Context) (bool, error) {
	s, err := e.client().Status(ctx, e.addr)
	if err != nil {
		return false, err
	}
	return s.Leader == s.Header.MemberId, nil
}

// Holder implements locker.
func (e *etcdClient) Holder(i int, contends, quick bool) (lockFunc, error) {
	if !contends {
		i %= etcdConns
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.sessions[etcdSession{i, quick}]
	if s == nil {
		ttl := longTTL
		if quick {
			ttl = etcdTTL
		}
		var err error
		if s, err = concurrency.NewSession(e.clients[i%etcdConns], concurrency.WithTTL(ttl)); err != nil {
			return nil, err
		}
		e.sessions[etcdSession{i, quick}] = s
	}
	return func(ctx context.Context, name string) (func(context.Context) error, error) {
		m := concurrency.NewMutex(s, "locks/"+name)
		return m.Unlock, m.Lock(ctx)
	}, nil
}

func (e *etcdClient) Close() error {
	e.stop()
	for _, c := range e.clients {
		c.Close()
	}
	return nil
}

// untilWritten waits until the system takes writes through this worker.
func untilWritten(c client) error {
	var last error
	for end := time.Now().Add(readyPatience); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		last = c.Write(ctx, "ready", []byte("ready"))
		cancel()
		if last == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no write got through: %w", last)
}

func etcdServers(exe string, _ bool, dir string) ([]server, []string, error) {
	return etcdCluster(exe, dir, nodes)
}

// etcdCluster says how to start n members with their defaults: heartbeats every 100 ms, elections after a second.
func etcdCluster(exe, dir string, n int) ([]server, []string, error) {
	addrs, err := freeAddrs(2 * n)
	if err != nil {
		return nil, nil, err
	}
	initial := ""
	for i := range n {
		initial += fmt.Sprintf("node%d=http://%s,", i+1, addrs[n+i])
	}
	var out []server
	for i := range n {
		peer, own := "http://"+addrs[n+i], "http://"+addrs[i]
		out = append(out, server{exe, []string{"--name", fmt.Sprintf("node%d", i+1), "--data-dir", filepath.Join(dir, fmt.Sprint(i)),
			"--listen-client-urls", own, "--advertise-client-urls", own, "--listen-peer-urls", peer,
			"--initial-advertise-peer-urls", peer, "--initial-cluster", initial[:len(initial)-1],
			"--initial-cluster-state", "new", "--quota-backend-bytes", "8589934592", "--logger", "zap", "--log-level", "error"}})
	}
	return out, addrs[:n], nil
}
