package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// lanes runs the jobs, so many of them beside each other, and joins their logs to one. An error is that of the jobs
// which did not end well.
func (s suite) lanes(log string, jobs []job) error {
	waiting := make(chan int, len(jobs))
	for i := range jobs {
		waiting <- i
	}
	close(waiting)
	flags := s.flags
	if s.beside > 1 {
		flags = append([]string{"-p=1"}, flags...) // packages of one job come one after the other
	}
	parts, errs := make([]string, len(jobs)), make([]error, len(jobs))
	var wg sync.WaitGroup
	var printing sync.Mutex
	for range max(s.beside, 1) {
		wg.Go(func() {
			for i := range waiting {
				parts[i] = fmt.Sprintf("%s.part%d", log, i)
				var out bytes.Buffer
				errs[i] = s.first(&out, parts[i], slices.Concat(flags, jobs[i]))
				printing.Lock()
				s.print.Write(out.Bytes())
				printing.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, join(log, parts))...)
}

// join writes the logs one after the other to one file, and removes them. One that is not there belongs to a job that
// failed.
func join(log string, parts []string) error {
	f, err := os.Create(log)
	if err != nil {
		return err
	}
	for _, name := range parts {
		err = errors.Join(err, move(f, name))
	}
	return errors.Join(err, f.Close())
}

func move(to io.Writer, name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return errors.Join(err, f.Close(), os.Remove(name))
}

// jobs lists the packages and divides them. What all of them need is compiled before, once and on all processors:
// commands beside each other would each do it. What cannot be compiled is told by its job.
func (s suite) jobs() ([]job, error) {
	if s.beside <= 1 {
		return []job{s.packages}, nil
	}
	var out bytes.Buffer
	if err := s.command(&out, slices.Concat([]string{"list"}, s.packages)...); err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	build := slices.DeleteFunc(slices.Clone(s.flags), func(flag string) bool {
		return flag != "-race" && !strings.HasPrefix(flag, "-gcflags=")
	})
	s.command(io.Discard, slices.Concat([]string{"list", "-export", "-test"}, build, s.packages)...)
	return plan(strings.Fields(out.String()), s.budgets), nil
}
