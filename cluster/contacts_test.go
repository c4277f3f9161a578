package cluster

import (
	"errors"
	"fmt"
	"testing"
)

func TestContacts(t *testing.T) {
	var c contacts
	for i := range 2 * mostContacts {
		c.add("a", fmt.Sprint(i))
	}
	if n := len(c.all()); n != mostContacts {
		t.Errorf("%d addresses are known", n)
	}
	if c.forget(); len(c.all()) != 0 {
		t.Error("they are not forgotten")
	}
	refused := errors.New("refused")
	if c.called("a", refused); c.refusal("a") != refused {
		t.Errorf("a was called: %v", c.refusal("a"))
	}
	if c.called("a", nil); c.refusal("a") != nil {
		t.Errorf("somebody took the call: %v", c.refusal("a"))
	}
}
