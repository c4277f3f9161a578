package farm

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// lines is an answer of lines of JSON, each sent as soon as it is written. It may be used by many goroutines.
type lines struct {
	mu  sync.Mutex
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// newLines begins an answer of lines.
func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	l := &lines{w: w, ctl: http.NewResponseController(w)}
	l.ctl.Flush() // the header at once: whoever asks knows that somebody is at work
	return l
}

// lineTime is how long whoever asked may take for a line.
const lineTime = 10 * time.Second

// write sends v as a line. What cannot be sent is lost: nobody is there to read it.
func (l *lines) write(v any) {
	if b, err := json.Marshal(v); err == nil {
		l.send(append(b, '\n'))
	}
}

func (l *lines) send(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctl.SetWriteDeadline(time.Now().Add(lineTime))
	defer l.ctl.SetWriteDeadline(time.Time{})
	if _, err := l.w.Write(line); err == nil {
		l.ctl.Flush()
	}
}

// How a node that works on an answer shows to another one that it is still there, and after how long
// without a word it is taken for gone: a machine that has started again knows nothing of the connections
// that it had.
const (
	showEvery  = 3 * time.Second
	goneSilent = 15 * time.Second
)

// What shows it, to other nodes and to operators. Tools of before do not understand empty lines.
const (
	peerSign     = "\n"
	operatorSign = "{}\n" // an order.RolloutLine
)

// stillHere sends a sign every few seconds until stop is called.
func (l *lines) stillHere(sign string) (stop func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(showEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.send([]byte(sign))
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		wg.Wait()
	}
}

// errSilent says that a node has shown nothing for goneSilent.
var errSilent = errors.New("nothing was heard of it for a while")

// eachLine calls do with the lines of an answer of another node, until it has enough, or returns an error.
// The empty ones are left out. After silence the answer is closed, and the error is errSilent.
func eachLine(answer io.ReadCloser, do func(line []byte) (enough bool, err error)) error {
	watch := time.AfterFunc(goneSilent, func() { answer.Close() })
	defer watch.Stop()
	in := bufio.NewScanner(answer)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		watch.Reset(goneSilent)
		if len(in.Bytes()) == 0 {
			continue
		}
		if enough, err := do(in.Bytes()); enough || err != nil {
			return err
		}
	}
	if !watch.Stop() {
		return errSilent
	}
	return errors.Join(in.Err(), io.ErrUnexpectedEOF)
}
