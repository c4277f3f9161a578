package farm

import (
	"net/http"
	"time"
)

// maxOperators is how many connections of operators a node's program serves at a time; others wait.
const maxOperators = 32

// serveOperators answers operators over the peer port, by HTTP/1.1: what is large, or takes long.
func (f *Farm) serveOperators() {
	l := f.node.OperatorListener()
	if l == nil {
		return
	}
	c := newClients(l, maxOperators, f.log)
	f.operators = &http.Server{Handler: f.operatorMux(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: errorLog(f.log), ConnState: c.hook(nil)}
	f.wg.Go(func() { f.operators.Serve(c) }) // returns when Close closes it
}
