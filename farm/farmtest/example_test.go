package farmtest_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	bubbles "github.com/seed48eb2e21/webfarm/internal/bubble"
	"github.com/seed48eb2e21/webfarm/session"
)

var cart = session.NewKey[[]string]("cart")

// shop is the application under test.
func shop(*farm.Farm) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		_, err := cart.Update(r.Context(), func(items []string, _ bool) ([]string, error) {
			return append(items, r.FormValue("sku")), nil
		})
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, cart.Or(r.Context(), nil))
	})
	return mux
}

func Example() {
	bubbles.Example(func(t *testing.T) { // in a test file: func TestCartSurvivesTheLeader(t *testing.T)
		farmtest.Run(t, 3, shop, func(t *testing.T, f *farmtest.Farm) {
			leader := f.Leader()
			others := f.Others(leader)
			browser := f.Browser()
			if _, err := browser.Post(leader.URL()+"/cart?sku=tea", "", nil); err != nil {
				t.Fatal(err)
			}
			leader.Kill()
			for _, n := range others {
				resp, err := browser.Get(n.URL() + "/cart")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				fmt.Println(string(body))
			}
		})
	})
	// Output:
	// [tea]
	// [tea]
}
