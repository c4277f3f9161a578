package session

import "net/http"

// visit is one request on its way through Handler that brings no session and has a context which takes values. As long
// as nobody asks for its session it has none, and costs little.
type visit struct {
	writer
	wire     wire
	before   headerFields // when the request came
	returned bool         // the handler returned normally
}

// In place of the session that nobody has asked for.
var (
	begun = new(Session) // the header has been sent
	over  = new(Session) // the handler is over, too
)

// asked returns the session if somebody has asked for it; else nil.
func (w *writer) asked() *Session {
	if s := w.session.Load(); s != begun && s != over {
		return s
	}
	return nil
}

// settleFirst settles the session, and reports whether this was the first call. Where nobody has asked for it there is
// nothing to settle; who asks now comes too late for the header.
func (w *writer) settleFirst() (first bool, err error) {
	if w.session.CompareAndSwap(nil, begun) {
		return true, nil
	}
	if s := w.asked(); s != nil {
		return s.settleFirst()
	}
	return false, nil
}

// Made returns the session of the request.
func (v *visit) Made() any {
	for {
		was := v.session.Load()
		if was != nil && was != begun && was != over {
			return was
		}
		s := &Session{m: v.wire.m, w: v.ResponseWriter, r: v.request, wire: v.wire, before: v.before,
			settled: was != nil, finished: was == over}
		if v.session.CompareAndSwap(was, s) {
			return s
		}
	}
}

func (v *visit) serve(next http.Handler, r *http.Request) {
	defer v.leave()
	next.ServeHTTP(&v.writer, r)
	v.returned = true
}

// leave is called after the handler returned, panicked or called runtime.Goexit.
func (v *visit) leave() {
	for {
		s := v.session.Load()
		if s != nil && s != begun {
			s.returned = v.returned
			s.leave()
			return
		}
		if v.session.CompareAndSwap(s, over) {
			return
		}
	}
}
