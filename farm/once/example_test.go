package once_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/once"
)

// farmOfOne stands for a *farm.Farm, which has Lock, TryLock, Singleton, Every and Once too, and Jobs for the
// rest. A program opens one by farm.Open; this one has a log that nobody shares.
func farmOfOne() *once.Client {
	news := new(once.News)
	l := &ownLog{machine: once.NewMachine(news)}
	return once.New(once.Config{Log: l, Local: func() *once.Machine { return l.machine }, News: news,
		Run: "run-1", Node: "n1",
		Ended: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }})
}

type ownLog struct {
	mu      sync.Mutex
	index   uint64
	machine *once.Machine
}

func (l *ownLog) Propose(_ context.Context, cmd []byte) (uint64, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	return l.index, l.machine.Apply(l.index, time.Now(), cmd), nil
}

func (l *ownLog) Barrier(context.Context) error { return nil }

// A lock is for a while: whoever holds it looks at its context, and gives it back.
func ExampleClient_Lock() {
	f := farmOfOne()
	defer f.Close(context.Background())
	lease, err := f.Lock(context.Background(), "stocktaking")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lease.Unlock()
	for _, shelf := range []string{"mugs", "lamps"} {
		if err := lease.Context().Err(); err != nil { // this node is not sure any more that it holds the lock
			fmt.Println(context.Cause(lease.Context()))
			return
		}
		fmt.Println("count the", shelf)
	}
	// Output:
	// count the mugs
	// count the lamps
}

// TryLock does not wait: where another one is at it, there is nothing to do here.
func ExampleClient_TryLock() {
	f := farmOfOne()
	defer f.Close(context.Background())
	first, err := f.TryLock(context.Background(), "clean-up")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Unlock()
	_, err = f.TryLock(context.Background(), "clean-up")
	fmt.Println(errors.Is(err, once.ErrHeld), err)
	// Output:
	// true once: held by another
}

// A singleton runs on one node until that stops, drains or dies; then it starts on another one.
func ExampleClient_Singleton() {
	f := farmOfOne()
	defer f.Close(context.Background())
	started := make(chan struct{})
	err := f.Singleton("restock", func(ctx context.Context, fence uint64) error {
		close(started)
		<-ctx.Done() // until then, order what is short, with the fence
		return nil
	}, once.Node{Role: "staging"}) // rather there, if there is such a node
	if err != nil {
		fmt.Println(err)
		return
	}
	<-started
	for _, held := range f.Locks() {
		fmt.Println(held.Kind, held.Name, "runs on", held.Node)
	}
	// Output:
	// singleton restock runs on n1
}

// A job runs at each time of its schedule, on one node. An operator has it run by "farmctl jobs run report",
// and a program by Client.Run.
func ExampleClient_Every() {
	f := farmOfOne()
	defer f.Close(context.Background())
	ran := make(chan once.Tick)
	nightly := once.Schedule{Cron: "0 3 * * *", Zone: "Europe/Berlin", Missed: once.MissedLast}
	err := f.Every("report", nightly, func(ctx context.Context, t once.Tick) error {
		ran <- t
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for job, ok := f.Job("report"); !ok || job.Next.IsZero(); job, ok = f.Job("report") {
		time.Sleep(time.Millisecond) // it is registered in the background
	}
	job, _ := f.Job("report")
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("next at", job.Next.In(berlin).Format("15:04"))
	if err := f.Run(context.Background(), "report"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("by an operator's word:", (<-ran).Manual)
	// Output:
	// next at 03:00
	// by an operator's word: true
}

// A migration is done once in the life of the farm. Every node asks for it when it starts, and goes on when
// it is done.
func ExampleClient_Once() {
	f := farmOfOne()
	defer f.Close(context.Background())
	for range 2 {
		err := f.Once(context.Background(), "orders-v2", func(ctx context.Context, fence uint64) error {
			fmt.Println("alter the table")
			return ctx.Err()
		})
		fmt.Println("done:", err == nil)
	}
	// Output:
	// alter the table
	// done: true
	// done: true
}

// An HTTP API that refuses a holder of the past: it keeps the greatest fence that it has seen, and answers
// 409 to a lesser one. The check and the change are one step, under one lock.
func ExampleLease_Fence_http() {
	var mu sync.Mutex
	var greatest uint64
	supplier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fence, err := strconv.ParseUint(r.Header.Get("Fence"), 10, 64)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			http.Error(w, "say your fence", http.StatusBadRequest)
		case fence < greatest:
			http.Error(w, "another one has come after you", http.StatusConflict)
		default:
			greatest = fence
			w.WriteHeader(http.StatusNoContent) // and the order is taken here
		}
	}))
	defer supplier.Close()
	order := func(l *once.Lease) string {
		// A program has its request on l.Context(). This one is stopped between that and the request.
		req, err := http.NewRequest("POST", supplier.URL, nil)
		if err != nil {
			return err.Error()
		}
		req.Header.Set("Fence", strconv.FormatUint(l.Fence(), 10))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		res.Body.Close()
		return res.Status
	}

	f := farmOfOne()
	defer f.Close(context.Background())
	paused, err := f.Lock(context.Background(), "order") // and then the process is stopped for a minute
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the first:", order(paused))
	paused.Unlock() // as the farm does it for a node that does not answer
	next, err := f.Lock(context.Background(), "order")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer next.Unlock()
	fmt.Println("the next:", order(next))
	fmt.Println("the first, late:", order(paused))
	// Output:
	// the first: 204 No Content
	// the next: 204 No Content
	// the first, late: 409 Conflict
}

// A PostgreSQL transaction that refuses a holder of the past. One table has the greatest fence of each name:
//
//	CREATE TABLE fences (name text PRIMARY KEY, fence bigint NOT NULL)
//
// The row stays locked until the transaction ends, so that nothing comes between the check and what follows.
// Where one table is all that is written, a column does:
//
//	UPDATE stock SET amount = $1, fence = $2 WHERE sku = $3 AND fence <= $2
//
// TestPostgresRefusesStaleFences has a real server carry both out.
func ExampleLease_Fence_postgres() {
	const raise = `INSERT INTO fences (name, fence) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE fences.fence <= excluded.fence`

	var errStale = errors.New("another one has come after this node")
	write := func(db *sql.DB, l *once.Lease, statement string, args ...any) error {
		tx, err := db.BeginTx(l.Context(), nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		res, err := tx.ExecContext(l.Context(), raise, l.Name(), int64(l.Fence()))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errStale)
		}
		if _, err := tx.ExecContext(l.Context(), statement, args...); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = write // which needs a database
}
