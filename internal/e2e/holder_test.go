package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	web "github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// holderEnv has the test binary be a holder: a node that runs a singleton, and prints when it is sure that it
// does, and serves what is published. It has the flags of the shop, and as much of its interface as the tests look at.
const holderEnv = "WEBFARM_E2E_HOLDER"

// justServes, as its value, is for a node without the singleton; streams for one that has event streams, WebSockets and
// uploads besides; slowPages for one with a page that takes its time.
const (
	justServes = "site"
	streams    = "streams"
	slowPages  = "slow"
)

// holder returns the exit code of the process.
func holder() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("holder", flag.ExitOnError)
	cfg := web.Flags(flags)
	flags.Bool("node", true, "")
	flags.Bool("leashed", true, "")
	flags.Parse(os.Args[1:])
	cfg.App = "shop"
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the process at the latest
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	f, err := web.Open(*cfg)
	if err == nil {
		defer f.Close()
		if v := os.Getenv(holderEnv); v != justServes && v != streams && v != slowPages {
			err = f.Singleton("hold", hold)
		}
		if err == nil {
			err = f.Serve(ctx, holderRoutes(f))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return web.ExitCode(err)
	}
	return 0
}

// hold prints, in hundredths of a second by a clock that the processes of one machine share, when it began,
// when its context had ended, and times at which it was sure: read before it was seen that the context had
// not ended.
func hold(ctx context.Context, fence uint64) error {
	fmt.Printf("hold begins %d %d\n", uptime(), fence)
	for {
		now := uptime()
		if ctx.Err() != nil {
			fmt.Printf("hold ends %d %d\n", uptime(), fence)
			return nil
		}
		fmt.Printf("hold sure %d %d\n", now, fence)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// uptime returns for how long the machine has run, in hundredths of a second; Linux says so.
func uptime() int64 {
	b, _ := os.ReadFile("/proc/uptime")
	s, _, _ := strings.Cut(string(b), " ")
	n, _ := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
	return n
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func holderRoutes(f *web.Farm) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", f.Content())
	mux.HandleFunc("GET /api/farm", func(w http.ResponseWriter, _ *http.Request) {
		st := f.Cluster().State()
		v := view{}
		for _, m := range st.Members {
			if m.ID == st.Leader {
				v.Leader = m.Name
			}
			v.Members = append(v.Members, member{m.Name, string(m.Status), string(m.Vote), m.Tags["http"], m.Applied})
		}
		json.NewEncoder(w).Encode(v)
	})
	if os.Getenv(holderEnv) == streams {
		streamRoutes(mux)
	}
	if os.Getenv(holderEnv) == slowPages {
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
			page, err := fs.ReadFile(f.FS(r.Context()), "public/index.html")
			if r.URL.Query().Has("begun") {
				http.NewResponseController(w).Flush()
			}
			if fmt.Println("slow begins"); r.URL.Query().Has("wait") {
				<-r.Context().Done()
			}
			fmt.Fprintf(w, "%s%v", page, errorText(err))
		})
	}
	mux.HandleFunc("GET /lock", func(w http.ResponseWriter, r *http.Request) {
		l, err := f.Lock(r.Context(), "x")
		if err != nil {
			fmt.Fprintf(w, "level %v: %v", errors.Is(err, once.ErrLevel), err)
			return
		}
		fmt.Fprintf(w, "fence %d, %v", l.Fence(), l.Unlock())
	})
	return mux
}
