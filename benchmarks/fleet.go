package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// fleet is any number of nodes of one system: whole nodes of a farm, each in a worker; or servers, and a
// worker beside each.
type fleet struct {
	label   string
	procs   *processes
	servers []*process
	workers []*worker
}

// fleetKind is a system of which there can be a fleet.
type fleetKind struct {
	label  string // in tables
	system string // of its workers
	exe    string // the program to run as a worker
}

// fleetKinds returns those that are to be compared, as far as they are installed: whole nodes of a farm,
// those of another build, and etcd.
func (b *bench) fleetKinds() (out []fleetKind, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if slices.Contains(b.systems, "webfarm") {
		out = append(out, fleetKind{"webfarm", systemFarm, self})
		if b.other != "" {
			out = append(out, fleetKind{"other", systemFarm, b.other})
		}
	}
	if slices.Contains(b.systems, systemEtcd) {
		if _, err := exec.LookPath(systemEtcd); err == nil {
			out = append(out, fleetKind{systemEtcd, systemEtcd, self})
		} else {
			fmt.Fprintf(b.out, "%s is not installed and left out\n", systemEtcd)
		}
	}
	return out, nil
}

// startFleet starts n nodes, and returns when all are ready. staging adds a node of a farm that publishes,
// and is the last worker.
func startFleet(p *processes, kind fleetKind, n int, staging bool, dir string) (f *fleet, err error) {
	f = &fleet{label: kind.label, procs: p}
	defer func() {
		if err != nil {
			f.stop()
			err = fmt.Errorf("%s: %w", kind.label, err)
		}
	}()
	dir = filepath.Join(dir, kind.label)
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := setup{System: kind.system, Durable: true, Secret: admin.NewSecret(), Watches: true}
	if kind.system == systemEtcd {
		s.Endpoints, err = f.startEtcd(n, dir)
	} else {
		s.Endpoints, err = freeAddrs(n)
	}
	if err != nil {
		return nil, err
	}
	total := n
	if staging {
		total++
	}
	for i := range total {
		s.Node, s.Dir = i, filepath.Join(dir, fmt.Sprint(i))
		if err = f.startWorker(kind.exe, s); err != nil {
			return nil, err
		}
	}
	for i, w := range f.workers {
		if err = w.ready(); err != nil {
			return nil, fmt.Errorf("worker %d: %w", i+1, err)
		}
	}
	return f, nil
}

func (f *fleet) startEtcd(n int, dir string) (endpoints []string, err error) {
	exe, err := exec.LookPath(systemEtcd)
	if err != nil {
		return nil, err
	}
	servers, endpoints, err := etcdCluster(exe, dir, n)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		pr, err := f.procs.server(s.exe, s.args...)
		if err != nil {
			return nil, err
		}
		f.servers = append(f.servers, pr)
	}
	return endpoints, nil
}

func (f *fleet) startWorker(exe string, s setup) error {
	pr, err := f.procs.worker(exe)
	if err != nil {
		return err
	}
	w := &worker{pr, json.NewDecoder(pr.out), json.NewEncoder(pr.in)}
	f.workers = append(f.workers, w)
	return w.enc.Encode(s)
}

// order gives one worker an order and returns its report.
func (f *fleet) order(i int, o order) (report, error) {
	w := f.workers[i]
	if err := w.enc.Encode(o); err != nil {
		return report{}, fmt.Errorf("%s, worker %d: %w", f.label, i+1, err)
	}
	r, err := w.report()
	if err != nil {
		err = fmt.Errorf("%s, worker %d: %w", f.label, i+1, err)
	}
	return r, err
}

// shown returns when each of the first n nodes has shown a value. It waits for it.
func (f *fleet) shown(n int, value int) (at []time.Time, err error) {
	for i := range n {
		r, err := f.order(i, order{Do: orderSeen, Value: value})
		if err != nil {
			return nil, err
		}
		at = append(at, time.Unix(0, r.At))
	}
	return at, nil
}

// cpu returns how much processor time all of it has used so far.
func (f *fleet) cpu() (sum time.Duration) {
	for _, p := range f.servers {
		sum += cpuTime(p.cmd.Process.Pid)
	}
	for _, w := range f.workers {
		sum += cpuTime(w.cmd.Process.Pid)
	}
	return sum
}

func (f *fleet) stop() {
	for _, w := range f.workers {
		f.procs.kill(w.process)
	}
	for _, p := range f.servers {
		f.procs.kill(p)
	}
}
