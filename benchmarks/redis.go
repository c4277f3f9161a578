package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisClient writes to the primary and waits until a replica has the write, too, so that a majority of three has it.
type redisClient struct {
	c    *redis.Client
	node int
}

func newRedis(s setup) (client, error) {
	r := &redisClient{redis.NewClient(&redis.Options{Addr: s.Endpoints[0], PoolSize: 512, ReadTimeout: patience}), s.Node}
	return r, untilWritten(r)
}

func (r *redisClient) Write(ctx context.Context, key string, value []byte) error {
	p := r.c.Pipeline() // one round trip for both, on one connection: WAIT is about that connection's writes
	p.Set(ctx, key, value, 0)
	wait := p.Do(ctx, "WAIT", 1, (patience / 2).Milliseconds())
	if _, err := p.Exec(ctx); err != nil {
		return err
	}
	if n, err := wait.Int(); err != nil || n < 1 {
		return fmt.Errorf("no replica has the write")
	}
	return nil
}

func (r *redisClient) Read(ctx context.Context, key string) error { return r.c.Get(ctx, key).Err() }
func (r *redisClient) Leads(context.Context) (bool, error)        { return r.node == 0, nil }
func (r *redisClient) Close() error                               { return r.c.Close() }

// redisServers starts a primary and two replicas, which sync each write to the append-only file where writes are durable.
func redisServers(exe string, durable bool, dir string) ([]server, []string, error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, nil, err
	}
	var out []server
	for i, addr := range addrs {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, nil, err
		}
		host, port, _ := strings.Cut(addr, ":")
		args := []string{"--bind", host, "--port", port, "--dir", own, "--save", "", "--repl-diskless-sync-delay", "0",
			"--loglevel", "warning"}
		if durable {
			args = append(args, "--appendonly", "yes", "--appendfsync", "always")
		}
		if i > 0 {
			primary, number, _ := strings.Cut(addrs[0], ":")
			args = append(args, "--replicaof", primary, number)
		}
		out = append(out, server{exe, args})
	}
	return out, addrs, nil
}
