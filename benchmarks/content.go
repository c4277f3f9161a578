package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

const modeContent = "content"

// pageSizes are the pages that are asked for, in bytes.
var pageSizes = []int{4 << 10, 60 << 10}

// askForPage is the request: of a browser that takes what is compressed by gzip, or nothing compressed.
const askForPage = "GET /page%d.html HTTP/1.1\r\nHost: bench.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Encoding: %s\r\n\r\n"

// fileServer is one that serves the same files as the others.
type fileServer struct {
	name    string
	only    string // encoding for which it is asked; "" = all
	addr    string
	process *process
}

// content measures what it costs to serve a page: by package content as nodes do, by http.FileServer, and by
// nginx; as it is, and compressed, either beforehand or for each request.
func (b *bench) content(ctx context.Context, procs *processes, dir string) error {
	dir = filepath.Join(dir, modeContent)
	public := filepath.Join(dir, "site", "public")
	if err := os.MkdirAll(public, 0o755); err != nil {
		return err
	}
	for i, size := range pageSizes {
		name := filepath.Join(public, fmt.Sprintf("page%d.html", size))
		text := page(rand.New(rand.NewPCG(1, uint64(i))), size)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	servers, err := b.fileServers(procs, filepath.Join(dir, "site"))
	defer func() {
		for _, s := range servers {
			procs.kill(s.process)
		}
	}()
	if err != nil {
		return err
	}
	for _, encoding := range []string{"identity", "gzip"} {
		for _, size := range pageSizes {
			if err := b.servePage(ctx, servers, size, encoding); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileServers starts those that are installed, and returns when they answer.
func (b *bench) fileServers(procs *processes, root string) (all []*fileServer, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, as := range []string{asContent, asFileServer, asZipping, "nginx", "nginx gzip_static"} {
		s := &fileServer{name: as}
		if s.addr, err = freeport.Addr(); err != nil {
			return all, err
		}
		exe, args := self, []string{webserverArg, "-as", as, "-root", root, "-listen", s.addr}
		switch as {
		case asFileServer:
			s.only = "identity"
		case asZipping:
			s.only = "gzip"
		}
		if kind, static := strings.CutSuffix(as, " gzip_static"); kind == "nginx" {
			if exe, err = exec.LookPath(kind); err != nil {
				fmt.Fprintln(b.out, "nginx is not installed and left out")
				break
			}
			if static {
				s.only = "gzip"
			}
			own, public := filepath.Join(root, "..", as), filepath.Join(root, "public")
			if args, err = nginxFiles(own, s.addr, public, static); err != nil {
				return all, err
			}
		}
		if s.process, err = procs.server(exe, args...); err != nil {
			return all, err
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.await(); err != nil {
			return all, fmt.Errorf("%s does not answer: %w", s.name, err)
		}
	}
	return all, nil
}

func (s *fileServer) await() (err error) {
	for end := time.Now().Add(readyPatience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r := &requester{asking: s.asking(pageSizes[0], "identity")}
		err = r.get()
		r.close()
		if err == nil {
			return nil
		}
		select {
		case <-s.process.ended:
			return fmt.Errorf("it has ended (%v); -v shows what it says", s.process.cmd.ProcessState)
		default:
		}
	}
	return err
}

func (s *fileServer) asking(size int, encoding string) asking {
	return asking{addr: s.addr, text: fmt.Sprintf(askForPage, size, encoding), any: true}
}

// servePage has the servers answer requests for one page, by turns.
func (b *bench) servePage(ctx context.Context, servers []*fileServer, size int, encoding string) error {
	servers = slices.DeleteFunc(slices.Clone(servers), func(s *fileServer) bool {
		return s.only != "" && s.only != encoding
	})
	all := make([]*passage, len(servers))
	for i, s := range servers {
		all[i] = &passage{result: result{label: s.name}}
	}
	for round := range b.rounds {
		for i := range all {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := (i + round) % len(all)
			s, p := servers[at], all[at]
			before := s.cpu()
			seen := exchange(ctx, s.asking(size, encoding), min(b.clients, 16), 0, b.duration/4, b.duration)
			p.note(seen, s.cpu()-before, b.duration)
		}
	}
	b.printPages(all, size, encoding)
	return nil
}

// cpu is what the processes of a server have used.
func (s *fileServer) cpu() (sum time.Duration) {
	for _, pid := range family(s.process.cmd.Process.Pid) {
		sum += cpuTime(pid)
	}
	return sum
}

// printPages writes a table. A ratio is of the processor time for a request: the other's by the first one's.
func (b *bench) printPages(all []*passage, size int, encoding string) {
	fmt.Fprintf(b.out, "\ncontent: a page of %d B, Accept-Encoding: %s, to %d clients; medians of %d rounds of "+
		"%v\n\n", size, encoding, min(b.clients, 16), b.rounds, b.duration)
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tCPU/request\tbest\tof %s's\trequests/s\tfailed\t\n", all[0].label)
	for _, p := range all {
		typical, best := median(p.cpu), slices.Min(p.cpu)
		fmt.Fprintf(t, "%s\t%v\t%v\t%s\t%.0f\t%d\t\n", p.label, typical.Round(100*time.Nanosecond),
			best.Round(100*time.Nanosecond), ratios(seconds(p.cpu), seconds(all[0].cpu)), p.rate(), p.failed)
	}
	t.Flush()
	sayWhy(b.out, all)
}

// nginxFiles says how to start nginx for a folder. It compresses with its default level; if static,
// beforehand, which is done here, to a copy: others are reading the folder.
func nginxFiles(dir, listen, root string, static bool) ([]string, error) {
	how := "gzip on; gzip_min_length 256; gzip_types text/html;"
	if static {
		how = "gzip_static on;"
		public := filepath.Join(dir, "public")
		if err := os.CopyFS(public, os.DirFS(root)); err != nil {
			return nil, err
		}
		root = public
		if out, err := exec.Command("gzip", "-k", "-9", "-f", "-r", root).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("gzip: %w: %s", err, out)
		}
	}
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path \"%s/%s\";\n", kind, dir, kind)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	file, err := writeConfig(dir, "nginx.conf", fmt.Sprintf(`
%s
daemon off;
worker_processes auto;
pid "%s/nginx.pid";
error_log stderr warn;
events { worker_connections 1024; }
http {
	access_log off;
	types { text/html html; }
	sendfile on;
	tcp_nopush on;
	open_file_cache max=100;
	%s
	%s
	server {
		listen %s backlog=4096;
		keepalive_requests 100000000;
		root "%s";
	}
}
`, user, dir, temp, how, listen, root))
	return []string{"-p", dir, "-c", file, "-e", "stderr"}, err
}
