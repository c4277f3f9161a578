package farm_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
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

// cost is what a process has used since it began.
type cost struct {
	processor     time.Duration
	allocs, bytes uint64
}

func costNow() (c cost) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		c.processor = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	c.allocs, c.bytes = mem.Mallocs, mem.TotalAlloc
	return c
}

// benchServer is the variable by which this benchmark tells its other processes what they are.
const benchServer = "WEBFARM_BENCH_SERVER"

// benchServe serves, says where, and then what that has cost until now, each time that it is asked for a line.
func benchServe(b *testing.B, as string) {
	answer := bytes.Repeat([]byte("x"), 1024)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	})
	var addr string
	if as == "bare" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addr = l.Addr().String()
		go http.Serve(l, h)
	} else {
		node, err := farm.Open(farm.Config{HTTP: "127.0.0.1:0", Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		defer node.Close()
		go node.Serve(b.Context(), h)
		if err := node.Ready(context.Background()); err != nil {
			b.Fatal(err)
		}
		addr = node.Addr()
	}
	fmt.Println("serves", addr)
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		c := costNow()
		fmt.Println("cost", int64(c.processor), c.allocs, c.bytes)
	}
}

// benched is such a process, and the connections to it.
type benched struct {
	b     *testing.B
	in    io.Writer
	out   *bufio.Reader
	flows []*flow

	processor, allocs, bytes []float64 // of a request, in each round
}

const benchFlows, benchEach = 64, 50

func startBenched(b *testing.B, as string) *benched {
	args := []string{"-test.run=^$", "-test.bench=^" + b.Name() + "$", "-test.benchtime=1x"}
	if profile := flag.Lookup("test.cpuprofile").Value.String(); profile != "" {
		args = append(args, "-test.cpuprofile="+profile+"."+as)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), benchServer+"="+as)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p := &benched{b: b, in: in, out: bufio.NewReader(out)}
	b.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, p.out)
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	var addr string
	p.line("serves %s", &addr)
	for range benchFlows {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		p.flows = append(p.flows, &flow{c, bufio.NewReader(c)})
	}
	return p
}

// line reads the next line of the process that is of this kind.
func (p *benched) line(format string, values ...any) {
	kind, _, _ := strings.Cut(format, " ")
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.b.Fatal(err)
		}
		if _, line, ok := strings.Cut(line, kind+" "); ok {
			if _, err := fmt.Sscanf(kind+" "+line, format, values...); err != nil {
				p.b.Fatal(err)
			}
			return
		}
	}
}

func (p *benched) cost() (c cost) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.b.Fatal(err)
	}
	p.line("cost %d %d %d", &c.processor, &c.allocs, &c.bytes)
	return c
}

// round has each connection ask for some answers.
func (p *benched) round() {
	before := p.cost()
	var wg sync.WaitGroup
	for _, f := range p.flows {
		wg.Go(func() {
			if err := f.ask(benchEach); err != nil {
				p.b.Error(err)
			}
		})
	}
	wg.Wait()
	after := p.cost()
	const requests = benchFlows * benchEach
	p.processor = append(p.processor, float64(after.processor-before.processor)/requests)
	p.allocs = append(p.allocs, float64(after.allocs-before.allocs)/requests)
	p.bytes = append(p.bytes, float64(after.bytes-before.bytes)/requests)
}

// BenchmarkServeOverBare is the processor time of a request to a node that serves by itself, and of one to
// net/http with the same handler: each in a process of its own, with the same clients in a third one, whose
// time is not counted; by turns, the median of many short rounds. percent-more is the median of the farm's
// rounds beside the rounds of net/http that came before or after them.
func BenchmarkServeOverBare(b *testing.B) {
	if as := os.Getenv(benchServer); as != "" {
		benchServe(b, as)
		return
	}
	bare, node := startBenched(b, "bare"), startBenched(b, "farm")
	for range 3 {
		bare.round()
		node.round()
	}
	bare.processor, node.processor = nil, nil
	var ratios []float64
	for i := 0; b.Loop(); i++ {
		first, second := bare, node
		if i%2 == 1 {
			first, second = node, bare
		}
		first.round()
		second.round()
		ratios = append(ratios, node.processor[i]/bare.processor[i])
	}
	median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
	b.ReportMetric(100*(median(ratios)-1), "percent-more")
	b.ReportMetric(median(bare.processor), "bare-cpu-ns")
	b.ReportMetric(median(node.processor), "farm-cpu-ns")
	b.ReportMetric(median(bare.allocs), "bare-allocs")
	b.ReportMetric(median(node.allocs), "farm-allocs")
	b.ReportMetric(median(bare.bytes), "bare-B")
	b.ReportMetric(median(node.bytes), "farm-B")
	b.ReportMetric(0, "ns/op") // of both together: it means nothing
}
