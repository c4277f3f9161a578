package texthop

import (
	"net/http"
	"reflect"
	"testing"
)

func FuzzTakeFacts(f *testing.F) {
	good, _ := (&facts{Nonce: "n", Origin: "o", ID: "i", TLS: &tlsFacts{Version: 1}}).header()
	f.Add(good)
	f.Add(`{"nonce":"n","origin":"o","id":"i","tls":{"chain":["AAAA"]}}`)
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{hopHeader: {line}}}
		got, err := takeFacts(r)
		if _, left := r.Header[hopHeader]; left {
			t.Error("the header is left")
		}
		if err != nil {
			return
		}
		again, err := got.header()
		if err != nil {
			t.Fatal(err)
		}
		twice, err := takeFacts(&http.Request{Header: http.Header{hopHeader: {again}}})
		if err != nil || !reflect.DeepEqual(got, twice) {
			t.Errorf("%+v became %+v, %v", got, twice, err)
		}
	})
}
