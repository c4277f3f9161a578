package main

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/farm"
)

// page is what every template gets.
type page struct {
	Title  string
	Banner string // of the settings
	Node   string // that ran the handler
	Via    string // that took the request from the browser
	Items  int    // in the cart
	Data   any
}

// site serves the pages.
type site struct {
	farm      *farm.Farm
	templates *parsed
}

func routes(f *farm.Farm) http.Handler {
	s := &site{farm: f, templates: &parsed{farm: f, kept: map[blob.Hash]templates{}}}
	r := f.Router()
	r.Use(middleware.GetHead)                      // HEAD is answered like GET, without a body
	r.Use(http.NewCrossOriginProtection().Handler) // forms of other sites must not fill carts
	r.Get("/", s.front)
	r.Get("/cart", s.cart)
	r.Post("/cart", s.changeCart)
	r.Get("/farm", s.status)
	r.Get("/work", s.work)
	r.Mount("/api", api(f))
	r.Get("/*", f.Content().ServeHTTP) // style.css, and what is published besides
	return r
}

func (s *site) front(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "front", "Six good things", offers(r.Context()))
}

func (s *site) cart(w http.ResponseWriter, r *http.Request) {
	lines, total := cartLines(r.Context(), cart.Or(r.Context(), nil))
	s.render(w, r, "cart", "Your cart", struct {
		Lines []line
		Total string
	}{lines, euros(total)})
}

// changeCart takes the forms of the front page and of the cart.
func (s *site) changeCart(w http.ResponseWriter, r *http.Request) {
	n, back := 1, "/"
	if r.FormValue("action") == "remove" {
		n, back = -1, "/cart"
	}
	if _, err := addToCart(r.Context(), r.FormValue("sku"), n); err != nil {
		if errors.Is(err, errSKU) {
			err = farm.Problem{Status: http.StatusBadRequest, Detail: "There is no such thing in this shop."}
		}
		farm.Error(w, r, err)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (s *site) status(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "farm", "The farm", farmStatus(s.farm.Cluster().State()))
}

func (s *site) work(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, "work", "Who works", whoWorks(s.farm))
}

func (s *site) render(w http.ResponseWriter, r *http.Request, name, title string, data any) {
	info := farm.Info(r.Context())
	p := page{Title: title, Banner: settings.Get(r.Context()).Banner, Node: info.Node, Via: info.Via,
		Items: itemsIn(cart.Or(r.Context(), nil)), Data: data}
	t, err := s.templates.of(r.Context())
	if err != nil {
		farm.Error(w, r, err)
		return
	}
	var b bytes.Buffer
	if err := t[name].ExecuteTemplate(&b, "layout", p); err != nil {
		farm.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}
