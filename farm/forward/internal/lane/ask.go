package lane

import (
	"net"
	"syscall"
)

// asking is a frame that is being sent by ask.
type asking struct {
	once  func(fd uintptr) bool // sendOnce of the lane
	kind  kind
	flags uint8
	b     []byte
	then  func() // called when the frame has left, or cannot; nil = nobody
	sent  bool
	err   error
}

// ask sends a frame to which the other end answers, and waits until something comes. It is for the goroutine that
// reads from the lane, when nothing can have come that it has not read.
//
// A read looks first whether there is something, in vain when it comes too early, and waits then. To be told of what
// comes from before the frame is sent spares that look, which is a system call.
//
// What the other end has sent or closed before is noticed all the same: it answers a frame for a connection that it has
// closed by a reset.
//
// then is called once the frame has left, or cannot; nil = nobody. From then on b is the caller's again.
func (c *lane) ask(k kind, flags uint8, b []byte, then func()) error {
	o := &c.out
	o.kind, o.flags, o.b, o.then, o.sent, o.err = k, flags, b, then, false, nil
	if c.raw != nil && c.br.Buffered() == 0 {
		c.raw.Read(o.once) // what ends the wait is met again by the next read
	}
	if !o.sent { // there was no wait, or it was over before
		o.send(c)
	}
	return o.err
}

// send sends the frame.
func (o *asking) send(c *lane) {
	b, then := o.b, o.then
	o.b, o.then, o.sent = nil, nil, true // whoever waits for long keeps nothing
	o.err = c.send(o.kind, o.flags, b)
	if then != nil {
		then()
	}
}

// sendOnce sends the frame, and reports the second time that it need not wait any more.
func (c *lane) sendOnce(uintptr) bool {
	o := &c.out
	if o.sent {
		return true
	}
	o.send(c)
	return o.err != nil
}

// rawOf returns what tells when something comes over a connection, beneath TLS; nil if nothing does.
func rawOf(c net.Conn) syscall.RawConn {
	tcp := beneath(c)
	if tcp == nil {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil // it is closed
	}
	return raw
}
