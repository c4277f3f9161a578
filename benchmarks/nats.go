package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsClient is a worker's way to its NATS server: several connections, as with etcd.
type natsClient struct {
	conns []*nats.Conn
	kvs   []jetstream.KeyValue
	js    jetstream.JetStream
	next  atomic.Uint64
	name  string
}

const (
	natsConns  = 4
	natsBucket = "bench"
)

func newNATS(s setup) (client, error) {
	n := &natsClient{name: fmt.Sprintf("node%d", s.Node+1)}
	for range natsConns {
		c, err := nats.Connect("nats://"+s.Endpoints[s.Node], nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
			nats.ReconnectWait(50*time.Millisecond))
		if err != nil {
			return nil, err
		}
		n.conns = append(n.conns, c)
	}
	storage := jetstream.MemoryStorage
	if s.Durable {
		storage = jetstream.FileStorage
	}
	var err error
	for end := time.Now().Add(readyPatience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = n.open(storage); err == nil {
			return n, untilWritten(n)
		}
	}
	return nil, err
}

// open makes the bucket, or takes it as another worker has made it, on each connection.
func (n *natsClient) open(storage jetstream.StorageType) error {
	n.kvs = nil
	for _, c := range n.conns {
		js, err := jetstream.New(c)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: natsBucket, Replicas: 3, Storage: storage})
		cancel()
		if err != nil {
			return err
		}
		n.kvs, n.js = append(n.kvs, kv), js
	}
	return nil
}

func (n *natsClient) kv() jetstream.KeyValue { return n.kvs[n.next.Add(1)%natsConns] }

func (n *natsClient) Write(ctx context.Context, key string, value []byte) error {
	_, err := n.kv().Put(ctx, key, value)
	return err
}

func (n *natsClient) Read(ctx context.Context, key string) error {
	_, err := n.kv().Get(ctx, key)
	return err
}

func (n *natsClient) Leads(ctx context.Context) (bool, error) {
	s, err := n.js.Stream(ctx, "KV_"+natsBucket)
	if err != nil {
		return false, err
	}
	c := s.CachedInfo().Cluster
	return c != nil && c.Leader == n.name, nil
}

func (n *natsClient) Close() error {
	for _, c := range n.conns {
		c.Close()
	}
	return nil
}

// natsServers starts three servers with JetStream. Its files are not synced before a write is acknowledged.
func natsServers(exe string, _ bool, dir string) ([]server, []string, error) {
	addrs, err := freeAddrs(6)
	if err != nil {
		return nil, nil, err
	}
	routes := "nats://" + strings.Join(addrs[3:], ",nats://")
	var out []server
	for i := range 3 {
		host, port, _ := strings.Cut(addrs[i], ":")
		out = append(out, server{exe, []string{"-a", host, "-p", port, "-n", fmt.Sprintf("node%d", i+1), "-js",
			"-sd", filepath.Join(dir, fmt.Sprint(i)), "-cluster", "nats://" + addrs[3+i], "-cluster_name", "bench", "-routes", routes}})
	}
	return out, addrs[:3], nil
}
