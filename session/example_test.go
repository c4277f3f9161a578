package session_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"

	"github.com/seed48eb2e21/webfarm/session"
)

// visit serves one handler behind sessions and sends it n requests of one browser.
func visit(n int, h http.HandlerFunc) {
	m, err := session.New(session.NewMemory(), session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	srv := httptest.NewServer(m.Handler(h))
	defer srv.Close()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for range n {
		resp, err := browser.Get(srv.URL)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
}

func Example() {
	type Cart struct{ Items []string }
	cart := session.NewKey[Cart]("cart") // usually a package variable

	m, err := session.New(session.NewMemory(), session.Config{Cookie: session.Cookie{Insecure: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart/{item}", func(w http.ResponseWriter, r *http.Request) {
		_, err := cart.Update(r.Context(), func(c Cart, _ bool) (Cart, error) {
			c.Items = append(c.Items, r.PathValue("item"))
			return c, nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		c, _ := cart.Get(r.Context())
		fmt.Println(c.Items)
	})
	srv := httptest.NewServer(m.Handler(mux))
	defer srv.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	browser.Post(srv.URL+"/cart/book", "", nil)
	browser.Post(srv.URL+"/cart/pen", "", nil)
	browser.Get(srv.URL + "/cart")
	// Output: [book pen]
}

func ExampleNew() {
	m, err := session.New(session.NewMemory(), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	http.Handle("/", m.Handler(http.NotFoundHandler()))
}

func ExampleManager_Handler() {
	m, err := session.New(session.NewMemory(), session.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	name := session.NewKey[string]("name")
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(name.Or(r.Context(), "stranger"))
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output: stranger
}

func ExampleNewKey() {
	defer func() { fmt.Println(recover()) }()
	session.NewKey[any]("anything")
	// Output: session: key "anything": interface {} is an interface: the concrete type would be lost, so use one
}

func ExampleKey_Get() {
	theme := session.NewKey[string]("theme")
	visit(2, func(w http.ResponseWriter, r *http.Request) {
		v, ok := theme.Get(r.Context())
		fmt.Printf("%q %v\n", v, ok)
		theme.Set(r.Context(), "dark")
	})
	// Output:
	// "" false
	// "dark" true
}

func ExampleKey_Or() {
	theme := session.NewKey[string]("theme")
	visit(2, func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(theme.Or(r.Context(), "light"))
		theme.Set(r.Context(), "dark")
	})
	// Output:
	// light
	// dark
}

func ExampleKey_Set() {
	theme := session.NewKey[string]("theme")
	visit(1, func(w http.ResponseWriter, r *http.Request) {
		if err := theme.Set(r.Context(), "dark"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Println(theme.Get(r.Context())) // the request sees it at once; others when the response begins
	})
	// Output: dark true
}

func ExampleKey_Delete() {
	theme := session.NewKey[string]("theme")
	visit(1, func(w http.ResponseWriter, r *http.Request) {
		theme.Set(r.Context(), "dark")
		theme.Delete(r.Context())
		fmt.Println(theme.Or(r.Context(), "none"))
	})
	// Output: none
}

func ExampleKey_Update() {
	visits := session.NewKey[int]("visits")
	visit(3, func(w http.ResponseWriter, r *http.Request) {
		n, err := visits.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil })
		fmt.Println(n, err)
	})
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}

func ExampleKey_Take() {
	flash := session.NewKey[[]string]("flash") // messages to be shown once, on whatever page comes next
	visit(3, func(w http.ResponseWriter, r *http.Request) {
		messages, ok, err := flash.Take(r.Context())
		fmt.Println(messages, ok, err)
		if !ok {
			flash.Set(r.Context(), []string{"saved"})
		}
	})
	// Output:
	// [] false <nil>
	// [saved] true <nil>
	// [] false <nil>
}

func ExampleFrom() {
	theme := session.NewKey[string]("theme")
	visit(2, func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		fmt.Println(s.Exists(), len(s.ID()))
		theme.Set(r.Context(), "dark")
	})
	// Output:
	// false 0
	// true 16
}

func ExampleSession_Destroy() {
	theme := session.NewKey[string]("theme")
	visit(3, func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		if !s.Exists() {
			fmt.Println("new")
			theme.Set(r.Context(), "dark")
			return
		}
		fmt.Println("logging out:", s.Destroy(r.Context()))
	})
	// Output:
	// new
	// logging out: <nil>
	// new
}

// A login: the visitor keeps what is in the session, and the token that others may have seen is dead.
func ExampleSession_Renew() {
	user := session.NewKey[string]("user")
	visit(2, func(w http.ResponseWriter, r *http.Request) {
		if name, ok := user.Get(r.Context()); ok {
			fmt.Println("hello,", name)
			return
		}
		user.Set(r.Context(), "ann")
		fmt.Println("logging in:", session.From(r.Context()).Renew(r.Context()))
	})
	// Output:
	// logging in: <nil>
	// hello, ann
}

// A logout that leaves a message for the next page: it is in a new session.
func ExampleSession_Destroy_message() {
	user, flash := session.NewKey[string]("user"), session.NewKey[string]("flash")
	visit(3, func(w http.ResponseWriter, r *http.Request) {
		if message, ok, _ := flash.Take(r.Context()); ok {
			fmt.Println(message, user.Or(r.Context(), "stranger"))
			return
		}
		if _, ok := user.Get(r.Context()); !ok {
			user.Set(r.Context(), "ann")
			return
		}
		session.From(r.Context()).Destroy(r.Context())
		flash.Set(r.Context(), "Goodbye,")
	})
	// Output:
	// Goodbye, stranger
}

func ExampleSession_Save() {
	step := session.NewKey[string]("step")
	visit(1, func(w http.ResponseWriter, r *http.Request) {
		step.Set(r.Context(), "charging")
		fmt.Println(session.From(r.Context()).Save(r.Context())) // stays, whatever happens next
	})
	// Output: <nil>
}

func ExampleSession_Keys() {
	a, b := session.NewKey[int]("apples"), session.NewKey[int]("pears")
	visit(1, func(w http.ResponseWriter, r *http.Request) {
		b.Set(r.Context(), 2)
		a.Set(r.Context(), 1)
		fmt.Println(slices.Collect(session.From(r.Context()).Keys()))
	})
	// Output: [apples pears]
}

// A log, such as package cluster's Handle, makes a store that all nodes share.
func ExampleNewReplicated() {
	machine := session.NewMachine() // one on each node, applied by the log
	var handle session.Log = newExampleLog(machine)

	store := session.NewReplicated(handle, func() *session.Machine { return machine }, func() string { return "my cluster" })
	_, err := store.Do(context.Background(), session.Destroy{})
	fmt.Println(err)
	// Output: session: ended
}

// newExampleLog stands for a real log.
func newExampleLog(m *session.Machine) session.Log { return &skewed{machine: m} }
