package forward

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The request that a drain has waited for is answered, also by another node: the drain ends with the answer, and
// not with the handler.
func TestDrain_LastAnswer(t *testing.T) {
	for i := range 20 {
		f := newFakeFarm(t)
		begun, finish := make(chan struct{}), make(chan struct{})
		front := f.add("f", Config{Role: "front"}, never(t))
		a := f.add("a", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-finish
			io.WriteString(w, strings.Repeat("x", i<<10))
		}))
		front.gate.Admit()
		a.gate.Admit()
		front.sees("a")
		got := make(chan string)
		go func() {
			res, body := fetch(t, request(t, "POST", front.public.URL, strings.NewReader("body")))
			got <- fmt.Sprint(res.StatusCode, " ", len(body))
		}()
		<-begun
		a.gate.Drain()
		close(finish)
		if n := a.gate.Idle(t.Context()); n != 0 {
			t.Fatalf("%d still run", n)
		}
		a.gate.Close()
		if got, want := <-got, fmt.Sprint("200 ", i<<10); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
