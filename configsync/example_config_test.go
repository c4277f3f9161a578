package configsync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// setSite changes site.yaml for the whole farm.
func setSite(m *configsync.Manager, why, text string) {
	_, err := m.Put(context.Background(), configsync.Change{
		Write: configsync.Write{Epoch: m.Status().Epoch, Who: "me", Why: why},
		Set:   configsync.Files{"site.yaml": text},
	})
	if err != nil {
		fmt.Println(err)
	}
}

// Mail says how the program sends mail.
type Mail struct {
	From  string        `json:"from"`
	Every time.Duration `json:"every"`
	Relay string        `json:"relay" reload:"restart"` // in effect when the program starts again
}

// Validate is asked before anything is switched.
func (m Mail) Validate() error {
	if m.Every < time.Minute {
		return fmt.Errorf("every is %v; that often nobody wants mail", m.Every)
	}
	return nil
}

func ExampleNewConfig() {
	mail := configsync.NewConfig("mail", Mail{From: "shop@example.com", Every: time.Hour})
	for _, text := range []string{"every: 30m\n", "every: 1s\n", "form: me@example.com\n"} {
		fmt.Println(configsync.Check(configsync.Files{"mail.yaml": text}, mail))
	}
	// Output:
	// <nil>
	// mail.yaml: every is 1s; that often nobody wants mail
	// mail.yaml:1:1: form: unknown field; did you mean from?
}

// A request sees one release from beginning to end, and what lasts longer looks for the newest.
func ExampleConfig_Load() {
	m := exampleManager()
	defer m.Close()
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSite(m, "while a request is answered", "banner: Sale\n")
		fmt.Println(site.Get(r.Context()).Banner, site.Load(r.Context()).Banner)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output: Welcome Sale
}

func ExampleConfig_Follow() {
	m := exampleManager()
	defer m.Close()
	ctx, stop := context.WithCancel(m.Context(context.Background()))
	defer stop()
	for v := range site.Follow(ctx) {
		fmt.Println(v.Epoch, v.Value.Banner)
		if v.Epoch == 2 {
			break
		}
		setSite(m, "", fmt.Sprintf("banner: Sale %d\n", v.Epoch+1))
	}
	// Output:
	// 0 Welcome
	// 1 Sale 1
	// 2 Sale 2
}

// A section of a file is for requests below a path.
func ExampleManager_Handler() {
	m := exampleManager()
	defer m.Close()
	setSite(m, "", `
banner: Welcome
paths:
  /shop/: {banner: Shop}
  /shop/sale/: {banner: Sale!}
`)
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, site.Get(r.Context()).Banner)
	}))
	for _, path := range []string{"/", "/shop/tea", "/shop/sale/tea"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	// Output:
	// / Welcome
	// /shop/tea Shop
	// /shop/sale/tea Sale!
}

// Who changes something says what he has looked at. What another has changed meanwhile is not lost.
func ExampleManager_Put() {
	m := exampleManager()
	defer m.Close()
	for _, banner := range []string{"mine", "yours"} {
		epoch, err := m.Put(context.Background(), configsync.Change{
			Write: configsync.Write{Epoch: 0, Who: "me", Why: "summer"}, // both have looked at epoch 0
			Set:   configsync.Files{"site.yaml": "banner: " + banner + "\n"},
		})
		fmt.Println(epoch, err)
	}
	// Output:
	// 1 <nil>
	// 1 configsync: what is in force has changed since it was looked at: that was epoch 0, and epoch 1 is in force, with release 1 by me ("summer"); look at what has changed (farmctl releases, farmctl config diff), and decide again
}

// One field is set as a person would in an editor: the rest stays, comments too.
func ExampleSetField() {
	text := "banner: Welcome # until June\nprices: {tea: 300}\n"
	text, err := configsync.SetField("site.yaml", text, "", "prices.coffee", "350")
	fmt.Print(text, err, "\n")
	// Output:
	// banner: Welcome # until June
	// prices: {tea: 300, coffee: 350}
	// <nil>
}

func ExampleRemoveField() {
	text, err := configsync.RemoveField("site.yaml", "banner: Sale\nlimits: {max: 3}\n", "", "banner")
	fmt.Print(text, err, "\n")
	// Output:
	// limits: {max: 3}
	// <nil>
}

func ExampleReadFolder() {
	folder := fstest.MapFS{ // or os.DirFS("site/config")
		"site.yaml":               {Data: []byte("banner: Sale\n")},
		"roles/staging/site.yaml": {Data: []byte("banner: Test\n")},
	}
	files, err := configsync.ReadFolder(folder)
	fmt.Println(len(files), err, configsync.Check(files, site))
	// Output: 2 <nil> <nil>
}

// The history: who has changed what, when and why.
func ExampleManager_Epochs() {
	m := exampleManager()
	defer m.Close()
	setSite(m, "summer", "banner: Sale\n")
	setSite(m, "the sale is over", "banner: Welcome back\n")
	for _, e := range m.Epochs() {
		fmt.Printf("%d by %s: %s\n", e.Number, e.Who, e.Why)
	}
	// Output:
	// 1 by me: summer
	// 2 by me: the sale is over
}

func ExampleManager_Diff() {
	m := exampleManager()
	defer m.Close()
	setSite(m, "", "prices: {tea: 300}\n")
	setSite(m, "", "prices: {tea: 320}\nlisten: :443\n")
	ds, err := m.Diff(1, 2)
	for _, d := range ds {
		fmt.Println(d.Field, d.Old, "->", d.New, "restart:", d.Restart)
	}
	fmt.Println(err)
	// Output:
	// listen ":1" -> ":443" restart: true
	// prices.tea 300 -> 320 restart: false
	// <nil>
}

// Where a value comes from, on this node and for one path.
func ExampleManager_Explain() {
	m := exampleManager()
	defer m.Close()
	setSite(m, "", "banner: Sale\npaths: {/shop/: {banner: Shop}}\n")
	all, err := m.Explain(configsync.Question{Config: "site", Field: "banner", Path: "/shop/tea"})
	for _, e := range all {
		for _, s := range e.Sources {
			fmt.Println(s.Layer, s.Section, s.File, s.Value)
		}
	}
	fmt.Println(err)
	// Output:
	// default   "Welcome"
	// global  site.yaml "Sale"
	// global /shop/ site.yaml "Shop"
	// <nil>
}

func ExampleConfig_JSONSchema() {
	limits := configsync.NewConfig("limits", struct {
		Items int8 `json:"items"`
	}{20})
	var schema struct{ Properties map[string]json.RawMessage }
	if err := json.Unmarshal(limits.JSONSchema(), &schema); err != nil {
		fmt.Println(err)
	}
	var items bytes.Buffer
	json.Compact(&items, schema.Properties["items"])
	fmt.Println(&items)
	// Output: {"type":"integer","default":20,"minimum":-128,"maximum":127}
}
