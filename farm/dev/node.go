package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Node says who a process is that Launch has started.
type Node struct {
	Name string   `json:"name"`
	HTTP string   `json:"http"` // public address
	Peer string   `json:"peer"` // peer address
	Join []string `json:"join"` // peer addresses of all: they found the farm together
	Dir  string   `json:"dir"`  // data directory
}

// variable is where Launch tells a process who it is.
const variable = "WEBFARM_DEV_NODE"

// Child returns who this process is, and whether Launch has started it.
func Child() (n Node, ok bool, err error) {
	text := os.Getenv(variable)
	if text == "" {
		return n, false, nil
	}
	os.Unsetenv(variable) // a program that this one starts is another
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return n, false, fmt.Errorf("%s: %w", variable, err)
	}
	return n, true, nil
}

// Leash returns a channel that is closed when standard input ends: the launcher has let go of this process, or is no more.
// It reads standard input to the end of the process.
func Leash() <-chan struct{} {
	ended := make(chan struct{})
	go func() { // ends with the process at the latest
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	return ended
}

// GoRun returns a channel that is closed when "go run", if that has started this process, is no more: killed, it does not take
// its child with it. Any other parent may go away as it likes.
func GoRun() <-chan struct{} {
	ended := make(chan struct{})
	program, err := os.Executable()
	parent := os.Getppid()
	if err != nil || !strings.Contains(program, "go-build") {
		return ended
	}
	go func() { // ends with the process at the latest
		for tick := time.Tick(500 * time.Millisecond); os.Getppid() == parent; {
			<-tick
		}
		close(ended)
	}()
	return ended
}
