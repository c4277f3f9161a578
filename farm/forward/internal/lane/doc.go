// Package lane carries HTTP exchanges between two nodes: the hop of package forward. It knows nothing of who
// is chosen, and nothing is sent twice by it.
//
// Between a node that forwards (the dialler) and one that serves (the acceptor) there are
//
//   - one trunk: the connection that is always there. It carries the control frames (cancel, leave, ping,
//     drain, status, and deadlines that wait for nothing) and any number of streams: exchanges that share it,
//     each with a window of its own.
//   - lanes: connections that carry one exchange at a time. They cost less for each exchange and no exchange
//     waits behind another's bytes.
//
// An exchange goes over a lane if one is free, and else over the trunk. Exchanges that will be idle for long
// (event streams, WebSockets) begin on the trunk. All connections come from the dialler, and it alone closes
// those that are idle, so a request is never written to a connection that is just being closed.
//
// The frames of an exchange, in order:
//
//	dialler:   REQ  [DATA...  END | RESET]            the request, its body if the acceptor asks for it
//	acceptor:  [REFUSED]                              nothing was started, or
//	           [ACCEPT] [RES interim...]              the body is asked for; 1xx answers
//	           RES [DATA...] [END] | TUNNEL DATA...   the answer, or raw bytes both ways
//	           [RESET]                                instead of the rest: it failed, or was given up
//
// Between them:
//
//	acceptor:  MARK, answered by MARKED               the handler makes a change that is not to be made twice
//	           DEADLINE                               the handler sets a deadline for the client's connection
//	           DUPLEX                                 the handler reads and writes at the same time
//	           LASTS                                  the handler goes on until somebody ends it
//	both:      WINDOW                                 on a stream: so many bytes more may be sent
//
// See DESIGN.md for the reasons.
package lane
