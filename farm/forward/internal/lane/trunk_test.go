package lane

import (
	"errors"
	"net"
	"testing"
)

// tapped is a connection whose Write passes on so much of what it is given, and calls then before it returns.
type tapped struct {
	net.Conn
	pass int
	then func()
}

func (c *tapped) Write(b []byte) (int, error) {
	n := min(c.pass, len(b))
	c.then()
	if n < len(b) {
		return n, errors.New("cut")
	}
	return n, nil
}

func (c *tapped) Close() error { return nil }

// A frame that has left whole was sent, even if the trunk ends before its sender learns that: the other end
// may have begun with it. One that has left in part was not: nobody reads it.
func TestTrunk_EndsWhileSending(t *testing.T) {
	for _, c := range []struct {
		pass int
		sent bool
	}{{1 << 20, true}, {headerSize + 9, false}, {0, false}} {
		var tr *trunk
		tr = newTrunk(&tapped{pass: c.pass, then: func() { tr.close(errClosed) }})
		st, err := tr.open()
		if err != nil {
			t.Fatal(err)
		}
		err = st.send(kReq, fEnd, append(newFrame(nil), make([]byte, 10)...))
		if (err == nil) != c.sent {
			t.Errorf("%d bytes left: %v", c.pass, err)
		}
		if _, err := st.next(); err == nil {
			t.Error("the stream goes on after the end of its trunk")
		}
	}
}
