package lane

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

// A handler announces a change while its request's body is on its way: before it reads any, between two reads,
// or while another goroutine reads and waits for the client. It gets its answer at once, and the whole body.
func TestMark_WhileTheBodyComes(t *testing.T) {
	client := make(chan *io.PipeWriter, 1) // its end of the body
	more := func(s string) {
		p := <-client
		io.WriteString(p, s)
		client <- p
	}
	h := map[string]func(w *Writer, body io.Reader) (string, error){
		"/before": func(w *Writer, body io.Reader) (string, error) {
			err := w.Mark()
			go more("body")
			return all(body), err
		},
		"/between": func(w *Writer, body io.Reader) (string, error) {
			go more("body")
			var one [1]byte
			body.Read(one[:])
			err := w.Mark()
			return string(one[:]) + all(body), err
		},
		"/beside": func(w *Writer, body io.Reader) (string, error) {
			begun, read := make(chan struct{}), make(chan string)
			go func() {
				var two [2]byte
				io.ReadFull(body, two[:])
				close(begun)
				read <- string(two[:]) + all(body)
			}()
			more("bo")
			<-begun
			err := w.Mark()
			more("dy")
			return <-read, err
		},
	}
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if f := h[req.URL.Path]; f != nil {
			got, err := f(w.(*Writer), req.Body)
			if err != nil || got != "body" {
				t.Errorf("%s: the body is %q, and Mark says %v", req.URL.Path, got, err)
			}
		}
	}))
	for _, accept := range []string{"*/*", "text/event-stream"} {
		for path := range h {
			if accept == "*/*" {
				r.warm()
			}
			body, end := io.Pipe()
			client <- end
			req := httptest.NewRequestWithContext(t.Context(), "GET", path, body)
			req.ContentLength = 4
			req.Header.Set("Accept", accept)
			a := &Attempt{Facts: &Facts{ID: "id", Attempt: 1, Marks: true}, Upload: NewUpload(req)}
			o := r.client.Do(httptest.NewRecorder(), req, a)
			if o.Err != nil || !o.Marked || o.State != attempt.Committed {
				t.Errorf("%s, %s: %+v", path, accept, o)
			}
			<-client
		}
	}
}

func all(r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Wherever MARKED comes among the frames of a body, and however much was read before, neither is lost.
func TestMark_AmongFramesOfTheBody(t *testing.T) {
	data := func(s string) item { return item{frame{kind: kData, n: len(s)}, []byte(s)} }
	end := item{frame{kind: kEnd}, putHeader(putBodyError(nil, nil), http.Header{"T": {"v"}})}
	marked := item{frame: frame{kind: kMarked}}
	for _, in := range [][]item{
		{marked, data("abc"), data("de"), end},
		{data("abc"), marked, data("de"), end},
		{data("abc"), data("de"), marked, end},
		{data("abc"), data("de"), end, marked},
		{data("abc"), {frame{kind: kData, id: 7, n: 1}, []byte("x")}, data("de"), end, marked},
		{data("abc"), data("de"), end, marked, marked},
	} {
		for before := range 6 {
			x := &exchange{c: &script{in: in}, req: &http.Request{}}
			x.body = body{x: x, asked: true}
			x.body.wantMarked()
			first := make([]byte, before)
			if _, err := io.ReadFull(&x.body, first); err != nil {
				t.Fatal(err)
			}
			err := x.body.waitMarked(x.body.wantMarked())
			if got := string(first) + all(&x.body); got != "abcde" || err != nil || x.req.Trailer.Get("T") != "v" {
				t.Errorf("%v, %d bytes before: %q, %v, trailer %v", in, before, got, err, x.req.Trailer)
			}
		}
	}
}

// A dialler may not have an acceptor keep any amount of a body by leaving MARKED out.
func TestMark_LongBodyInFront(t *testing.T) {
	piece := item{frame{kind: kData, n: chunk}, make([]byte, chunk)}
	x := &exchange{server: &Server{Logger: slog.New(slog.DiscardHandler)}, req: &http.Request{},
		c: &script{in: []item{piece, piece, piece, piece, piece, piece}}}
	x.body = body{x: x, asked: true}
	if err := x.body.waitMarked(x.body.wantMarked()); !errors.Is(err, errProtocol) {
		t.Errorf("%v", err)
	}
	if n := len(x.body.inline); n > keptMost {
		t.Errorf("%d bytes are kept", n)
	}
}

// script is a carrier on which certain frames come.
type script struct {
	in  []item
	cur []byte
}

func (s *script) send(kind, uint8, []byte) error { return nil }

func (s *script) next() (frame, error) {
	if len(s.in) == 0 {
		return frame{}, io.ErrUnexpectedEOF
	}
	f := s.in[0].frame
	s.cur, s.in = s.in[0].p, s.in[1:]
	return f, nil
}

func (s *script) peek() ([]byte, error) { return s.cur, nil }

func (s *script) skip(n int) { s.cur = s.cur[n:] }

func (s *script) payload() ([]byte, error) {
	p := s.cur
	s.cur = nil
	return p, nil
}

func (s *script) interrupt() {}
