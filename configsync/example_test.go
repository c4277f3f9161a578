package configsync_test

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/configsync"
)

type Shop struct {
	Banner string         `json:"banner"`
	Prices map[string]int `json:"prices"`
}

var shop = configsync.NewConfig("shop", Shop{Banner: "Welcome"})

func ExampleConfig_Get() {
	m, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{shop}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	ctx := m.Context(context.Background()) // a request has one by Manager.Handler
	fmt.Println(shop.Get(ctx).Banner)
	// Output: Welcome
}

func ExampleCheck() {
	files := configsync.Files{
		"shop.yaml":          "baner: Sale\nprices: {tea: cheap}\n",
		"nodes/n1/shop.yaml": "banner: yes\n",
	}
	fmt.Println(configsync.Check(files, shop))
	// Output:
	// shop.yaml:1:1: baner: unknown field; did you mean banner?
	// shop.yaml:2:15: prices.tea: is the text "cheap"; it takes a whole number, in decimal
}

type Payments struct {
	URL string
	Key configsync.Secret
}

func ExampleSecret() {
	p := Payments{URL: "https://bank.example/", Key: configsync.NewSecret("sk_live_1")}
	fmt.Printf("%+v\n", p)
	fmt.Println(p.Key.Reveal())
	// Output:
	// {URL:https://bank.example/ Key:secret}
	// sk_live_1
}
