package farm_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
)

// browsed is a request as a browser sends it.
const browsed = "GET /list?a=1&b=2 HTTP/1.1\r\nHost: app.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
	"Chrome/140.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n" +
	"Cookie: theme=dark\r\nReferer: https://app.example.com/list\r\nSec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: document\r\n\r\n"

// flow sends requests over one connection.
type flow struct {
	conn net.Conn
	in   *bufio.Reader
}

func (f *flow) ask(n int) error {
	for range n {
		if _, err := io.WriteString(f.conn, browsed); err != nil {
			return err
		}
		size := -1
		for {
			line, err := f.in.ReadSlice('\n')
			if err != nil {
				return err
			}
			if len(line) == 2 {
				break
			}
			if after, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				size = 0
				for _, c := range bytes.TrimSpace(after) {
					size = 10*size + int(c-'0')
				}
			}
		}
		if _, err := f.in.Discard(size); err != nil {
			return err
		}
	}
	return nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkServeOverBare is the processor time of a request to a node that serves by itself, and of one to
// net/http with the same handler, by turns: the median of many short runs, clients included, and how much
// the farm's is more, in percent.
func BenchmarkServeOverBare(b *testing.B) {
	answer := bytes.Repeat([]byte("x"), 1024)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := &http.Server{Handler: h}
	go bare.Serve(l)
	defer bare.Close()
	node, err := farm.Open(farm.Config{HTTP: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer node.Close()
	go node.Serve(b.Context(), h)
	if err := node.Ready(context.Background()); err != nil {
		b.Fatal(err)
	}
	const flows, each = 16, 200
	open := func(addr string) func() float64 {
		var all []*flow
		for range flows {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			all = append(all, &flow{c, bufio.NewReader(c)})
		}
		return func() float64 {
			began := processorTime()
			var wg sync.WaitGroup
			for _, f := range all {
				wg.Go(func() {
					if err := f.ask(each); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
			return float64(processorTime()-began) / (flows * each)
		}
	}
	plain, stack := open(l.Addr().String()), open(node.Addr())
	var of [2][]float64
	for b.Loop() {
		of[0], of[1] = append(of[0], plain()), append(of[1], stack())
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	without, with := median(of[0]), median(of[1])
	b.ReportMetric(without, "bare-cpu-ns")
	b.ReportMetric(with, "farm-cpu-ns")
	b.ReportMetric(100*(with/without-1), "percent-more")
	b.ReportMetric(0, "ns/op") // of both together: it means nothing
}
