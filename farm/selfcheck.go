package farm

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// selfCheck reports whether this node is well after a switch.
func (f *Farm) selfCheck(ctx context.Context) error {
	app := f.app.Load()
	switch {
	case f.cfg.SelfCheck != nil:
		return f.cfg.SelfCheck(ctx)
	case app == nil || f.cfg.Role != cluster.Ordinary:
		return nil
	}
	return checkFront(ctx, *app, f.publicURLHost())
}

// checkFront reports whether the front page is shown. A page that lasts is cut off after a while, as by a
// visitor who goes away. A panic is caught, and counts, where this is called.
func checkFront(ctx context.Context, app http.Handler, host string) error {
	ctx, cancel := context.WithTimeout(ctx, selfCheckTime)
	defer cancel()
	heard := &failure{}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, failureKey{}, heard), http.MethodGet,
		"http://"+host+"/", nil)
	if err != nil {
		return err
	}
	r.RemoteAddr, r.RequestURI = "127.0.0.1:0", "/"
	w := &statusOnly{ctx: ctx, header: http.Header{}}
	broken := breaksOff(app, w, r)
	switch {
	case w.status >= http.StatusInternalServerError:
		return fmt.Errorf("GET / is answered with %d %s%s", w.status, http.StatusText(w.status), heard)
	case broken && ctx.Err() == nil:
		return fmt.Errorf("GET / breaks off in the middle of its answer%s", heard)
	}
	return nil
}

// breaksOff has a request served, and reports whether the handler has broken the connection off.
func breaksOff(h http.Handler, w http.ResponseWriter, r *http.Request) (broken bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			broken = true
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// selfCheckTime is for how long a page is read: less than configsync waits for a self-check.
const selfCheckTime = 3 * time.Second

// failure is where Error leaves what it answers, for a self-check: whoever publishes wants to know.
type failure struct{ err atomic.Pointer[error] }

type failureKey struct{}

// noteFailure leaves err with the self-check, if the request is one's.
func noteFailure(ctx context.Context, err error) {
	if to, ok := ctx.Value(failureKey{}).(*failure); ok {
		to.err.Store(&err)
	}
}

// String returns ": " and the error; "" if there was none.
func (f *failure) String() string {
	if err := f.err.Load(); err != nil {
		return ": " + (*err).Error()
	}
	return ""
}

// statusOnly is a ResponseWriter that keeps the status alone. When ctx has ended, nobody reads any more.
type statusOnly struct {
	ctx    context.Context
	header http.Header
	status int
}

func (w *statusOnly) Header() http.Header { return w.header }

func (w *statusOnly) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *statusOnly) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush implements http.Flusher, which handlers may count on.
func (w *statusOnly) Flush() { w.WriteHeader(http.StatusOK) }
