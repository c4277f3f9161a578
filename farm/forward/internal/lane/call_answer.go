package lane

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/attempt"
)

func (x *call) control() *http.ResponseController {
	if x.rc == nil {
		x.rc = http.NewResponseController(x.w)
	}
	return x.rc
}

// answer takes a RES frame: the head of an answer and the beginning of its body.
func (x *call) answer(f frame) (over bool, err error) {
	if x.out.State >= attempt.Answered {
		return false, malformed("exchange: a second answer")
	}
	p, err := x.c.payload()
	if err != nil {
		x.lose(err)
		return true, nil
	}
	head, body, ok := splitHead(p)
	if !ok {
		return false, malformed("RES")
	}
	d := decoder{s: head}
	load, status := d.load(), int(d.uvarint())
	x.out.State = max(x.out.State, attempt.Started)
	if f.flags&fInterim != 0 {
		return false, x.interim(status, d.header(), d.end("RES"))
	}
	final := status >= 200 && status <= 999 || status == http.StatusSwitchingProtocols
	if !d.headerFollows() || !final {
		return false, malformed("RES")
	}
	x.out.Load, x.out.HasLoad = load, true
	if !x.settle(true) {
		return false, errInterrupted
	}
	x.out.State, x.out.Status = attempt.Answered, status
	x.commit(status, &d)
	return f.flags&fEnd != 0, x.write(body, f.flags)
}

// commit writes the header of the answer. What the gate has set before stays where the handler says nothing
// about it.
func (x *call) commit(status int, d *decoder) {
	d.addHeader(x.w.Header())
	if x.BeforeHeader != nil {
		x.BeforeHeader(status, x.duplex)
	}
	x.w.WriteHeader(status)
	x.out.State = attempt.Committed
}

// interim writes a 1xx answer, with the peer's fields and none of our own.
func (x *call) interim(status int, header http.Header, err error) error {
	if err != nil || status < 100 || status > 199 || status == http.StatusSwitchingProtocols {
		return malformed("RES")
	}
	if x.Interim != nil && !x.Interim(status, header) {
		return nil
	}
	h := x.w.Header()
	own := maps.Clone(h)
	clear(h)
	maps.Copy(h, header)
	x.w.WriteHeader(status)
	clear(h)
	maps.Copy(h, own)
	return nil
}

// write writes to the client.
func (x *call) write(p []byte, flags uint8) error {
	if len(p) > 0 {
		if _, err := x.w.Write(p); err != nil {
			return x.clientGone(err)
		}
	}
	if flags&fFlush != 0 {
		if err := x.control().Flush(); err != nil {
			return x.clientGone(err)
		}
	}
	return nil
}

func (x *call) clientGone(err error) error {
	x.out.GaveUp = true
	return fmt.Errorf("to the client: %w", err)
}

// data copies a piece of the answer's body.
func (x *call) data(f frame) error {
	if x.out.State != attempt.Committed {
		return malformed("exchange: DATA without an answer")
	}
	for {
		p, err := x.c.peek()
		if err != nil {
			return err
		}
		if len(p) == 0 {
			return x.write(nil, f.flags)
		}
		if err := x.write(p, 0); err != nil {
			return err
		}
		x.c.skip(len(p))
	}
}

// end takes the end of the answer, with its trailer.
func (x *call) end() error {
	p, err := x.c.payload()
	if err != nil {
		return err
	}
	d := decoder{s: string(p)}
	x.out.Load, x.out.HasLoad = d.load(), true
	if err := d.bodyError(); err != nil || x.out.State != attempt.Committed {
		return malformed("END")
	}
	trailer := d.header()
	if err := d.end("END"); err != nil {
		return err
	}
	if len(trailer) > 0 {
		maps.Copy(x.w.Header(), trailer)
	}
	return nil
}

func (x *call) refused() error {
	p, err := x.c.payload()
	if err != nil {
		return err
	}
	if x.out.State > attempt.Sent {
		return malformed("exchange: REFUSED after its start")
	}
	d := decoder{s: string(p)}
	x.out.Load, x.out.HasLoad = d.load(), true
	x.out.Refusal = d.refusal()
	if err := d.end("REFUSED"); err != nil {
		return err
	}
	x.out.State = attempt.Refused
	x.out.Err = fmt.Errorf("refused, not started: %s", x.out.Refusal.Reason)
	return nil
}

func (x *call) reset(f frame) error {
	p, err := x.c.payload()
	if err != nil {
		return err
	}
	d := decoder{s: string(p)}
	code := d.byte()
	if load := d.load(); !d.bad {
		x.out.Load, x.out.HasLoad = load, true
	}
	switch {
	case f.flags&fStarted != 0:
		x.out.State = max(x.out.State, attempt.Started)
	case x.out.State <= attempt.Sent:
		x.out.State = attempt.Refused
	}
	switch code {
	case resetAborted:
		x.out.Aborted, x.out.Err = true, http.ErrAbortHandler
	case resetPanic:
		x.out.Panicked, x.out.Err = true, fmt.Errorf("the handler panicked")
	case resetBody:
		x.out.Unreadable, x.out.Err = true, fmt.Errorf("the peer could not read the request")
	default:
		x.out.Err = fmt.Errorf("the peer gave the request up")
	}
	return nil
}

// deadline sets a deadline for the client's connection, as the handler has.
func (x *call) deadline() error {
	p, err := x.c.payload()
	if err != nil {
		return err
	}
	l, err := readLimit(p)
	if err != nil {
		return err
	}
	x.limits.set(l)
	return nil
}
