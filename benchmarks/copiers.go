package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/freeport"
)

// copier is a program that people bring a site to their servers with, to one after the other. It writes into
// the folder that is served, as XCOPY does: there is no switch.
type copier struct {
	name string
	exe  string
	args []string // before the folders
}

const (
	copierRsync     = "rsync"
	copierRsyncSync = "rsync --fsync"
	copierCopy      = "cp"
)

// copiers is what they share: the folders of the servers, which an rsync daemon on loopback has, too.
type copiers struct {
	dir    string
	addr   string // of the daemon; "" = there is none
	daemon *process
}

// startCopiers starts the daemon, if rsync is installed.
func (b *bench) startCopiers(procs *processes, dir string) (c *copiers, all []copier, err error) {
	c = &copiers{dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	if _, err := exec.LookPath("cp"); err == nil {
		all = append(all, copier{copierCopy, "cp", []string{"-a", "-u"}})
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		fmt.Fprintln(b.out, "rsync is not installed and left out")
		return c, all, nil
	}
	config := "use chroot = no\n"
	if os.Getuid() == 0 {
		config += "uid = 0\ngid = 0\n"
	}
	config += fmt.Sprintf("[servers]\npath = %s\nread only = no\n", dir)
	file := filepath.Join(dir, "rsyncd.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, nil, err
	}
	if c.addr, err = freeport.Addr(); err != nil {
		return nil, nil, err
	}
	host, port, err := net.SplitHostPort(c.addr)
	if err != nil {
		return nil, nil, err
	}
	c.daemon, err = procs.server("rsync", "--daemon", "--no-detach", "--config="+file,
		"--address="+host, "--port="+port)
	if err != nil {
		return nil, nil, err
	}
	for end := time.Now().Add(readyPatience); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", c.addr); err == nil {
			conn.Close()
			break
		} else if time.Now().After(end) {
			c.stop(procs)
			return nil, nil, err
		}
	}
	return c, append(all, copier{copierRsync, "rsync", []string{"-a", "--delete"}},
		copier{copierRsyncSync, "rsync", []string{"-a", "--delete", "--fsync"}}), nil
}

// folder is that of a server.
func (c *copiers) folder(k copier, server int) string {
	return filepath.Join(c.dir, fmt.Sprint(filepath.Base(k.exe), len(k.args), "-", server))
}

// empty has the servers of a copier have nothing.
func (c *copiers) empty(k copier) error {
	for i := range nodes {
		if err := os.RemoveAll(c.folder(k, i)); err != nil {
			return err
		}
		if err := os.MkdirAll(c.folder(k, i), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// publish brings a site to all servers, one after the other, and returns how long that took, and the
// processor time.
func (c *copiers) publish(k copier, s site) (took, cpu time.Duration, err error) {
	begin, before := time.Now(), c.daemonTime()
	for i := range nodes {
		from, to := s.dir+"/.", c.folder(k, i)
		if k.exe == "rsync" {
			from, to = s.dir+"/", "rsync://"+c.addr+"/servers/"+filepath.Base(to)+"/"
		}
		cmd := exec.Command(k.exe, append(append([]string{}, k.args...), from, to)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, 0, fmt.Errorf("%s: %w: %s", k.name, err, out)
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return time.Since(begin), cpu + c.daemonTime() - before, nil
}

// daemonTime is what the daemon and those that it has started have used, as far as they have ended.
func (c *copiers) daemonTime() time.Duration {
	if c.daemon == nil {
		return 0
	}
	return cpuTime(c.daemon.cmd.Process.Pid) + endedTime(c.daemon.cmd.Process.Pid)
}

func (c *copiers) stop(procs *processes) {
	if c.daemon != nil {
		procs.kill(c.daemon)
	}
}
