package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

const (
	nodes         = 3
	readyPatience = time.Minute
)

// server is how to start one server of a system that is not in its workers.
type server struct {
	exe  string
	args []string
}

// kind is a system that can be measured.
type kind struct {
	name    string // also of the client, see clients
	exe     string // of its server; "" = Webfarm, which is in the workers
	servers func(exe string, durable bool, dir string) ([]server, []string, error)
	note    map[string]string // by mode: what to know about its figures
}

var kinds = []kind{
	{name: "webfarm", note: map[string]string{"memory": "in memory on all three"}},
	{name: "etcd", exe: "etcd", servers: etcdServers},
	{name: "redis", exe: "redis-server", servers: redisServers, note: map[string]string{
		modeDurable: "syncs on the primary; on the replica that WAIT waits for, the write may not be synced yet",
		modeMemory:  "one primary, two replicas, WAIT 1: no agreement, a failover can lose acknowledged writes",
	}},
	{name: "nats", exe: "nats-server", servers: natsServers, note: map[string]string{
		modeDurable: "JetStream KV, 3 replicas, in files, which are NOT synced before a write is acknowledged",
		modeMemory:  "JetStream KV, 3 replicas, in memory",
	}},
}

// system is a running system: its servers, if any, and its three workers.
type system struct {
	kind
	label    string // in tables
	procs    *processes
	workerAs string // the program to run as a worker
	setup    setup
	dir      string
	spec     []server
	servers  [nodes]*process
	workers  [nodes]*worker
}

// worker is the parent's end of a worker.
type worker struct {
	*process
	dec *json.Decoder
	enc *json.Encoder
}

// startSystem starts servers and workers and returns when writes get through every worker.
func startSystem(p *processes, k kind, label, workerExe, mode, dir string) (*system, error) {
	s := &system{kind: k, label: label, procs: p, workerAs: workerExe, dir: filepath.Join(dir, label)}
	s.setup = setup{System: k.name, Durable: mode != modeMemory, Secret: admin.NewSecret()}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if k.servers == nil {
		s.setup.Endpoints, err = freeAddrs(nodes)
	} else {
		var exe string
		if exe, err = exec.LookPath(k.exe); err == nil {
			s.spec, s.setup.Endpoints, err = k.servers(exe, s.setup.Durable, s.dir)
		}
	}
	if err != nil {
		return nil, err
	}
	for i := range s.spec {
		if err := s.startServer(i); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		if err := s.startWorker(i); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		if err := s.workers[i].ready(); err != nil {
			return nil, fmt.Errorf("%s, worker %d: %w", label, i+1, err)
		}
	}
	return s, nil
}

func (s *system) startServer(i int) (err error) {
	s.servers[i], err = s.procs.server(s.spec[i].exe, s.spec[i].args...)
	return err
}

// startWorker starts a worker; it reports when it is ready.
func (s *system) startWorker(i int) error {
	pr, err := s.procs.worker(s.workerAs)
	if err != nil {
		return err
	}
	w := &worker{pr, json.NewDecoder(pr.out), json.NewEncoder(pr.in)}
	s.workers[i] = w
	own := s.setup
	if own.Node = i; own.Durable && s.kind.servers == nil {
		own.Dir = filepath.Join(s.dir, fmt.Sprint(i))
	}
	return w.enc.Encode(own)
}

func (w *worker) ready() error {
	_, err := w.report()
	return err
}

func (w *worker) report() (r report, err error) {
	if err := w.dec.Decode(&r); err != nil {
		return r, fmt.Errorf("no report: %w", err)
	}
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

// all gives every worker its order and collects the reports.
func (s *system) all(orders [nodes]order) (out [nodes]report, err error) {
	for i, w := range s.workers {
		if err := w.enc.Encode(orders[i]); err != nil {
			return out, fmt.Errorf("%s, worker %d: %w", s.label, i+1, err)
		}
	}
	for i, w := range s.workers {
		if out[i], err = w.report(); err != nil {
			return out, fmt.Errorf("%s, worker %d: %w", s.label, i+1, err)
		}
	}
	return out, nil
}

// leader returns the number of the node that leads; it waits until there is one.
func (s *system) leader() (int, error) {
	for end := time.Now().Add(readyPatience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		reports, err := s.all([nodes]order{{Do: orderLeads}, {Do: orderLeads}, {Do: orderLeads}})
		if err != nil {
			return 0, err
		}
		for i, r := range reports {
			if r.Leads {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("%s has no leader", s.label)
}

// kill ends a node as a crash would.
func (s *system) kill(i int) {
	if s.kind.servers == nil {
		s.procs.kill(s.workers[i].process)
		return
	}
	s.procs.kill(s.servers[i])
}

// revive starts a killed node again, on its data, and returns when writes get through it.
func (s *system) revive(i int) error {
	if s.kind.servers == nil {
		if err := s.startWorker(i); err != nil {
			return err
		}
		return s.workers[i].ready()
	}
	if err := s.startServer(i); err != nil {
		return err
	}
	var last error
	for end := time.Now().Add(readyPatience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		w := s.workers[i]
		if err := w.enc.Encode(order{Do: orderLoad, Keys: 1}); err != nil {
			return err
		}
		if _, last = w.report(); last == nil {
			return nil
		}
	}
	return fmt.Errorf("%s, node %d does not come back: %w", s.label, i+1, last)
}

// cpu returns how much processor time the system has used so far, its writers included.
func (s *system) cpu() (sum time.Duration) {
	for i := range nodes {
		sum += cpuTime(s.workers[i].cmd.Process.Pid)
		if s.servers[i] != nil {
			sum += cpuTime(s.servers[i].cmd.Process.Pid)
		}
	}
	return sum
}

// stop ends the system's processes.
func (s *system) stop() {
	for i := range nodes {
		if s.workers[i] != nil {
			s.procs.kill(s.workers[i].process)
		}
		if s.servers[i] != nil {
			s.procs.kill(s.servers[i])
		}
	}
}

// freeAddrs returns n addresses on loopback that nobody uses.
func freeAddrs(n int) (out []string, err error) {
	for range n {
		addr, err := freeport.Addr()
		if err != nil {
			return nil, err
		}
		out = append(out, addr)
	}
	return out, nil
}
