package farmtest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

func hello(f *farm.Farm) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(farm.Info(r.Context()).Node)
	})
}

func TestForm(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		farmtest.Run(t, n, hello, func(t *testing.T, f *farmtest.Farm) {
			t.Log(f.Leader())
		})
	}
}

func TestFormOutside(t *testing.T) {
	f := farmtest.New(t, 3, hello)
	t.Log(f.Leader())
}
