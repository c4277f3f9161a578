package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

// api is the JSON interface, kept stable for scripts and load tests; README.md describes it.
func api(f *farm.Farm) http.Handler {
	r := chi.NewRouter()
	r.Get("/whoami", whoami)
	r.Post("/count", postCount)
	r.Get("/count", getCount)
	r.Post("/cart", postCart)
	r.Get("/cart", getCart)
	r.Put("/kv/{key}", putValue)
	r.Get("/kv/{key}", getValue)
	r.Delete("/session", deleteSession)
	r.Get("/farm", func(w http.ResponseWriter, _ *http.Request) { reply(w, farmStatus(f.Cluster().State())) })
	r.Get("/work", func(w http.ResponseWriter, _ *http.Request) { reply(w, whoWorks(f)) })
	return r
}

func whoami(w http.ResponseWriter, r *http.Request) {
	info := farm.Info(r.Context())
	reply(w, struct {
		Node      string `json:"node"`
		Forwarded bool   `json:"forwarded"`
	}{info.Node, info.Forwarded()})
}

type counted struct {
	Count int `json:"count"`
}

func postCount(w http.ResponseWriter, r *http.Request) {
	n, err := count.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, counted{n})
}

func getCount(w http.ResponseWriter, r *http.Request) { reply(w, counted{count.Or(r.Context(), 0)}) }

type carted struct {
	Items map[string]int `json:"items"`
}

func postCart(w http.ResponseWriter, r *http.Request) {
	items, err := addToCart(r.Context(), r.URL.Query().Get("sku"), 1)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, carted{items})
}

func getCart(w http.ResponseWriter, r *http.Request) {
	reply(w, carted{cart.Or(r.Context(), map[string]int{})})
}

// maxValue bounds the body of PUT /kv: what a session takes as one value, save for the few bytes that encoding it takes.
const maxValue = 16 << 10

var (
	errKey     = errors.New("a key has 1 to 60 bytes of printable text")
	errNoValue = errors.New("no such value")
	errBody    = errors.New("the body cannot be read")
)

// value returns the session value behind /kv/{key}. One key may be written in several ways: ü and %C3%BC.
func value(r *http.Request) (session.Key[[]byte], error) {
	name := chi.URLParam(r, "key")
	if r.URL.RawPath != "" { // chi has matched that, and not Path, which is unescaped
		name, _ = url.PathUnescape(name) // it was parsed once already
	}
	if !printable(name) {
		return session.Key[[]byte]{}, errKey
	}
	return session.NewKey[[]byte]("kv/" + name), nil
}

func putValue(w http.ResponseWriter, r *http.Request) {
	key, err := value(r)
	if err != nil {
		fail(w, err)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue))
	if err != nil {
		fail(w, fmt.Errorf("%w: %w", errBody, err))
		return
	}
	if err := key.Set(r.Context(), b); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent) // not before the value is committed
}

func getValue(w http.ResponseWriter, r *http.Request) {
	key, err := value(r)
	if err != nil {
		fail(w, err)
		return
	}
	b, ok := key.Get(r.Context())
	if !ok {
		fail(w, errNoValue)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(b)
}

func deleteSession(w http.ResponseWriter, r *http.Request) {
	if err := session.From(r.Context()).Destroy(r.Context()); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type farmView struct {
	Leader  string       `json:"leader"` // name; "" = none known
	Members []memberView `json:"members"`
}

type memberView struct {
	Name    string `json:"name"`
	Status  string `json:"status"`
	Role    string `json:"role"`
	HTTP    string `json:"http"`
	Applied uint64 `json:"applied"`
}

// farmStatus is the farm as the answering node sees it.
func farmStatus(st cluster.State) farmView {
	v := farmView{Members: []memberView{}}
	for _, m := range st.Members {
		if m.ID == st.Leader {
			v.Leader = m.Name
		}
		v.Members = append(v.Members, memberView{m.Name, string(m.Status), string(m.Vote), m.Tags["http"], m.Applied})
	}
	return v
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v) // fails only when the client has gone
}

// fail says what went wrong, and by the status whether to try again.
func fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
	}{err.Error()})
}

func statusOf(err error) int {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong), errors.Is(err, session.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errSKU), errors.Is(err, errKey), errors.Is(err, errBody):
		return http.StatusBadRequest
	case errors.Is(err, errNoValue):
		return http.StatusNotFound
	case errors.Is(err, session.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, session.ErrEnded):
		return http.StatusGone
	}
	return http.StatusServiceUnavailable
}
