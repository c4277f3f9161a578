package farm

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// takesAll is a ResponseWriter that can do all that a server's can.
type takesAll struct {
	*httptest.ResponseRecorder
	most io.Reader // what ReadFrom was given last
}

func (w *takesAll) ReadFrom(r io.Reader) (int64, error) {
	w.most = r
	return io.Copy(struct{ io.Writer }{w.ResponseRecorder}, r)
}

func (w *takesAll) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// tally counts how often it was told.
type tally int

func (n *tally) Answered() { *n++ }

// An answer has begun when its head has certainly left: not with a few bytes, and once.
func TestBeginning(t *testing.T) {
	text := strings.Repeat("x", 3*begunWith)
	for name, c := range map[string]struct {
		do    func(w http.ResponseWriter)
		begun bool
		size  int
	}{
		"nothing": {func(http.ResponseWriter) {}, false, 0},
		"header":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }, false, 0},
		"little": {func(w http.ResponseWriter) {
			io.WriteString(w, text[:begunWith/2])
			w.Write([]byte(text[:begunWith/2-1]))
		}, false, begunWith - 1},
		"much": {func(w http.ResponseWriter) {
			io.WriteString(w, text[:begunWith/2])
			w.Write([]byte(text[:begunWith/2]))
			io.WriteString(w, text)
		}, true, 4 * begunWith},
		"flushed":     {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, true, 0},
		"by control":  {func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }, true, 0},
		"taken over":  {func(w http.ResponseWriter) { http.NewResponseController(w).Hijack() }, true, 0},
		"short file":  {func(w http.ResponseWriter) { io.Copy(w, onlyReader(text[:9])) }, false, 9},
		"file":        {func(w http.ResponseWriter) { io.Copy(w, onlyReader(text)) }, true, 3 * begunWith},
		"short range": {func(w http.ResponseWriter) { io.CopyN(w, onlyReader(text), 9) }, false, 9},
		"range":       {func(w http.ResponseWriter) { io.CopyN(w, onlyReader(text), 2*begunWith+5) }, true, 2*begunWith + 5},
		"two ranges": {func(w http.ResponseWriter) {
			io.CopyN(w, onlyReader(text), begunWith-1)
			io.CopyN(w, onlyReader(text), 7)
		}, true, begunWith + 6},
	} {
		var times tally
		w := &takesAll{ResponseRecorder: httptest.NewRecorder()}
		b := &beginning{ResponseWriter: w, count: &times}
		if c.do(b); times > 1 || (times == 1) != c.begun || w.Body.Len() != c.size {
			t.Errorf("%s: begun %d times, with %d bytes", name, times, w.Body.Len())
		}
		if b.over(); times != 1 {
			t.Errorf("%s: told %d times", name, times)
		}
	}
}

// A server takes a file by sendfile, or a part of one: what it is given is one LimitedReader around it at most, and what
// is left to read is said.
func TestBeginningKeepsFiles(t *testing.T) {
	w := &takesAll{ResponseRecorder: httptest.NewRecorder()}
	b := &beginning{ResponseWriter: w, count: new(tally)}
	file := onlyReader(strings.Repeat("x", 4*begunWith))
	part := &io.LimitedReader{R: file, N: begunWith + 10}
	n, err := b.ReadFrom(part)
	if l, ok := w.most.(*io.LimitedReader); !ok || l.R != file || n != begunWith+10 || err != nil || part.N != 0 {
		t.Errorf("%T, %d bytes, %v, %d left", w.most, n, err, part.N)
	}
	if b.ReadFrom(file); w.most != file {
		t.Errorf("%T", w.most)
	}
}

// onlyReader returns a reader that can do nothing else.
func onlyReader(text string) io.Reader { return &struct{ io.Reader }{strings.NewReader(text)} }
