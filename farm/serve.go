package farm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/internal/unlisten"
)

// Serve answers clients on the public port with h, which is the whole application, until ctx ends, Leave is
// called, or an operator asks this node to leave the farm (farmctl leave). Then it drains and returns nil;
// see Drain for what that means. Config.Forward.DrainTimeout, 25 s unless set, bounds it; what runs longer
// is cut off and logged. Where the program is to be started again, by an operator (farmctl restart) or for a change of
// the configuration, it returns ErrRestart.
//
// It returns with an error when the port fails, when the farm refuses this node for good, and when Close is called. It can
// be called once.
func (f *Farm) Serve(ctx context.Context, h http.Handler) error {
	if f.public == nil {
		return errors.New("farm: Config.HTTP is none: there is nothing to serve on; use Handler with your own server")
	}
	end, err := f.beginServe()
	if err != nil {
		return err
	}
	defer end()
	requests, cutOff := context.WithCancelCause(context.Background())
	defer cutOff(nil)
	var fresh freshConns
	srv := f.server(nil, requests, &fresh)
	srv.Handler = paced(forward.Outermost(f.Handler(h)), f.clients.pace, srv, f.clients.slow.note)
	ended := make(chan error, 1)
	accepted := make(chan struct{}) // closed when no more connections are
	go func() {
		err := serve(srv, f.public)
		close(accepted)
		ended <- err
	}()

	var reason error
	why := "the program was asked to stop"
	select {
	case <-ctx.Done():
	case <-f.cfg.dev.leash:
		why = "its launcher asked it to stop, or has ended"
	case <-f.leaving:
		why = "it leaves the farm"
	case <-f.asked:
		why = "an operator has it leave the farm"
	case <-f.restarts:
		why = f.restartWhy
	case err := <-ended:
		reason = fmt.Errorf("farm: public port: %w", err)
	case <-f.node.Failed():
		reason = f.node.Err()
	case <-f.done.Done():
		reason = fmt.Errorf("farm: %w", ErrClosed)
	}
	if reason != nil {
		why = reason.Error()
	}
	f.stopServing(srv, &fresh, accepted, reason, why)
	cutOff(errors.New("the node stopped"))
	srv.Close()
	endNoise(srv.ErrorLog)
	if f.leavesAfter(reason) && f.beginLeave() {
		ctx, cancel := context.WithTimeout(context.Background(), f.gate.Timeout())
		defer cancel()
		return f.finishLeave(ctx, nil)
	}
	if closed(f.restarts) && reason == nil {
		return ErrRestart
	}
	return reason
}

// leavesAfter reports whether this node leaves the farm for good when Serve ends for a reason; nil = it is to stop.
// One that is to be started again comes back.
func (f *Farm) leavesAfter(reason error) bool {
	return reason == nil && (closed(f.asked) || f.cfg.LeaveOnStop && !closed(f.restarts))
}

// beginServe notes that Serve runs; end notes that it has returned.
func (f *Farm) beginServe() (end func(), err error) {
	f.serveMu.Lock()
	defer f.serveMu.Unlock()
	switch {
	case f.done.Err() != nil:
		return nil, fmt.Errorf("farm: Serve: %w", ErrClosed)
	case f.served != nil:
		return nil, errors.New("farm: Serve was called already; a farm serves once")
	}
	served := make(chan struct{})
	f.served = served
	return func() { close(served) }, nil
}

// endServe waits until Serve has returned, if it was called, or ctx ends.
func (f *Farm) endServe(ctx context.Context) {
	f.serveMu.Lock()
	served := f.served
	f.serveMu.Unlock()
	if served == nil {
		return
	}
	select {
	case <-served:
	case <-ctx.Done():
	}
}

// stopServing drains and shuts srv down, gracefully as far as time allows. A node that stops for a reason of its own
// takes less time about it.
func (f *Farm) stopServing(srv *http.Server, fresh *freshConns, accepted <-chan struct{}, reason error, why string) {
	f.drains.stop() // nobody takes it back
	f.beginDrain()
	limit := f.gate.Timeout()
	if reason != nil {
		limit = min(limit, 5*time.Second)
	}
	ctx, cancel := context.WithTimeout(f.done, limit)
	defer cancel()
	drained := f.logDrain(why, limit)
	_, relieved := f.prepareStop(ctx)
	f.gate.Retire(ctx)
	f.closePort(ctx)
	select {
	case <-accepted: // so that fresh knows of all of them
	case <-ctx.Done():
	}
	// Shutdown drops connections whose request is on its way: a server that shuts down gives none to its handler that it has
	// just read. So it comes when nothing is on its way, or time is over.
	fresh.wait(ctx)
	f.clients.part(ctx)
	fresh.close() // Shutdown waits in vain for HTTP/2 whose handshake ends during it (golang/go#81153)
	fresh.waitBusy(ctx)
	srv.Shutdown(ctx)
	drained(f.gate.Idle(ctx))
	f.awaitJobs(ctx)
	relieved()
}

// quietWait is how long a stop waits for connections that the system has taken to be accepted.
const quietWait = 2 * time.Second

// closePort closes the public port so that nobody is reset who was connected.
func (f *Farm) closePort(ctx context.Context) {
	if f.port != nil {
		ctx, cancel := context.WithTimeout(ctx, quietWait)
		defer cancel()
		unlisten.Quiet(ctx, f.port)
	}
	f.public.Close()
}

func serve(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

// server makes the public server from the template. Its requests end with the given context at the latest.
func (f *Farm) server(h http.Handler, requests context.Context, fresh *freshConns) *http.Server {
	t := f.cfg.Server
	if t == nil {
		t = &http.Server{}
	}
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: t.DisableGeneralOptionsHandler,
		TLSConfig:                    t.TLSConfig.Clone(),
		ReadTimeout:                  t.ReadTimeout,
		ReadHeaderTimeout:            cmp.Or(t.ReadHeaderTimeout, 10*time.Second),
		WriteTimeout:                 t.WriteTimeout,
		IdleTimeout:                  cmp.Or(t.IdleTimeout, 2*time.Minute),
		MaxHeaderBytes:               t.MaxHeaderBytes,
		TLSNextProto:                 t.TLSNextProto,
		ConnState:                    fresh.hook(f.clients.hook(t.ConnState)),
		ErrorLog:                     cmp.Or(t.ErrorLog, newNoise(f.log)),
		BaseContext:                  baseContext(t.BaseContext, requests),
		ConnContext:                  f.connContext(t.ConnContext),
		HTTP2:                        t.HTTP2,
		Protocols:                    t.Protocols,
	}
}

// connContext is a ConnContext of http.Server.
type connContext = func(context.Context, net.Conn) context.Context

// connContext returns a ConnContext that says what the PROXY protocol has left open. It has next, if there is one, see
// connections as the system gave them.
func (f *Farm) connContext(next connContext) connContext {
	if next == nil && !f.cfg.ProxyProtocol {
		return nil
	}
	return func(ctx context.Context, c net.Conn) context.Context {
		if told := toldOf(c); told != nil && told.Unnamed {
			ctx = forward.Unnamed(ctx)
		}
		if next != nil {
			ctx = next(ctx, plain(c))
		}
		return ctx
	}
}

// baseContext returns a BaseContext whose contexts end when requests does.
func baseContext(base func(net.Listener) context.Context, requests context.Context) func(net.Listener) context.Context {
	return func(l net.Listener) context.Context {
		if base == nil {
			return requests
		}
		ctx, cancel := context.WithCancelCause(base(l))
		context.AfterFunc(requests, func() { cancel(context.Cause(requests)) })
		return ctx
	}
}

// errorLog takes what net/http has to say: about panics of handlers, above all.
func errorLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
