package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"sync"
	"time"
)

// workerArg, as the first argument, makes this program a worker: one of three processes in which the writers of a system
// are. It reads a setup and then orders from its standard input and answers each by a report on its standard output, all
// of them a JSON value. The end of the input is the end of the worker.
const workerArg = "benchmark-worker"

// client is how writers reach one system from one worker. Its methods are called by many goroutines.
type client interface {
	Write(ctx context.Context, key string, value []byte) error
	Read(ctx context.Context, key string) error // from the nearest copy
	Leads(ctx context.Context) (bool, error)    // whether this worker's node leads
	Close() error
}

// setup says what a worker works on.
type setup struct {
	System    string
	Node      int      // 0 to 2
	Endpoints []string // of all nodes, as the system has them
	Dir       string   // data directory of a node inside the worker; "" = in memory
	Durable   bool
	Secret    string // of the farm
	Watches   bool   // of etcd: the worker watches what is announced
}

// order is what a worker is to do.
type order struct {
	Do      string // one of the following
	Writers int    // or goroutines that lock
	First   int    // number of the first writer, or key to load
	Keys    int    // to load, or of each writer
	Warm    time.Duration
	For     time.Duration
	Name    string        // of a lock
	Hold    time.Duration // of a lock; -1 = for ever
	Profile string        // file for a CPU profile
	Value   int           // to announce, or to wait for
	Held    bool          // publish, and keep the release for later
	Release uint64        // to activate
}

const (
	orderLeads = "leads"
	orderLoad  = "load"
	orderWrite = "write"
	orderWatch = "watch"
	orderLock  = "lock"
	orderTake  = "take"

	orderAnnounce = "announce"
	orderPublish  = "publish" // the folder Name
	orderActivate = "activate"
	orderSeen     = "seen"
)

type report struct {
	Err     string
	Leads   bool
	Latency histogram
	Acked   int64 // writes or locks, those of the warm-up included
	Failed  int64
	Why     string // the last one failed
	Watched watched
	Spans   []span
	At      int64 // Unix ns: when it was begun, or seen
	Done    int64 // Unix ns
	Release uint64
	Bytes   int64 // of the release, with its compressed variants
}

var clients = map[string]func(setup) (client, error){
	"webfarm": newWebfarm, systemEtcd: newEtcd, "nats": newNATS, "redis": newRedis,
	systemFarm: newMember,
}

// work is a worker's main.
func work(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var s setup
	if err := dec.Decode(&s); err != nil {
		return err
	}
	c, err := clients[s.System](s)
	if err != nil {
		return errors.Join(err, enc.Encode(report{Err: err.Error()}))
	}
	defer c.Close()
	if err := enc.Encode(report{}); err != nil { // ready
		return err
	}
	for {
		var o order
		if err := dec.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := enc.Encode(obey(c, o)); err != nil {
			return err
		}
	}
}

func obey(c client, o order) (r report) {
	defer profile(o.Profile)()
	switch o.Do {
	case orderLeads:
		var err error
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if r.Leads, err = c.Leads(ctx); err != nil {
			r.Err = err.Error()
		}
	case orderLoad:
		if err := load(c, o); err != nil {
			r.Err = err.Error()
		}
	case orderWrite:
		return write(c, o)
	case orderWatch:
		r.Watched = watch(c, o)
	case orderLock:
		return lock(c, o)
	case orderTake:
		return take(c, o)
	case orderAnnounce, orderPublish, orderActivate:
		return announce(c, o)
	case orderSeen:
		return saw(c, o)
	}
	return r
}

func profile(name string) (stop func()) {
	if name == "" {
		return func() {}
	}
	f, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}
}

const (
	patience  = 10 * time.Second // for one operation
	valueSize = 200
)

func keyName(n int) string { return fmt.Sprintf("key-%07d", n) }

// letters is where values are cut from, so that they cost nothing to make.
var letters = func() []byte {
	b := make([]byte, 4096)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = ' ' + byte(x%95)
	}
	return b
}()

// valueOf returns 200 bytes that are not all alike.
func valueOf(n int) []byte {
	at := n * 31 % (len(letters) - valueSize)
	return letters[at : at+valueSize : at+valueSize]
}

// load writes keys o.First to o.First+o.Keys once.
func load(c client, o order) error {
	const loaders = 32
	errs := make(chan error, loaders)
	for l := range loaders {
		go func() {
			for k := o.First + l; k < o.First+o.Keys; k += loaders {
				if err := attempt(c, keyName(k), valueOf(k)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var first error
	for range loaders {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

func attempt(c client, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Write(ctx, key, value)
}

// write has writers that write one value after the other, and reports how long those took that ended after the warm-up and
// before the end. Each writer has its own keys, which are loaded.
func write(c client, o order) (r report) {
	if o.Writers == 0 {
		return r
	}
	begin := time.Now().Add(o.Warm)
	end := begin.Add(o.For)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range o.Writers {
		wg.Go(func() {
			var mine report
			for i := 0; ; i++ {
				key := (o.First+w)*o.Keys + i%o.Keys
				start := time.Now()
				err := attempt(c, keyName(key), valueOf(key+i))
				now := time.Now()
				if now.After(end) {
					break
				}
				if err != nil {
					mine.Failed++
					mine.Why = err.Error()
					continue
				}
				if mine.Acked++; now.After(begin) {
					mine.Latency.add(now.Sub(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.Latency.merge(mine.Latency)
			r.Acked += mine.Acked
			if r.Failed += mine.Failed; mine.Why != "" {
				r.Why = mine.Why
			}
		})
	}
	wg.Wait()
	return r
}
