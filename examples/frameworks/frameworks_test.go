package frameworks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

var visits = session.NewKey[int]("visits")

// count is what any application does with a session: it needs the request's context, and nothing of a
// framework.
func count(ctx context.Context) (int, error) {
	return visits.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil })
}

// A gin.Engine is an http.Handler, so Serve takes it as it is.
func Example_gin() {
	gin.SetMode(gin.ReleaseMode)
	app := gin.New()
	app.GET("/", func(c *gin.Context) {
		n, err := count(c.Request.Context())
		if err != nil {
			farm.Error(c.Writer, c.Request, err)
			return
		}
		c.String(http.StatusOK, "gin: visit %d", n)
	})
	stop, served := serve(app)
	visit()
	visit()
	stop()
	fmt.Println("served:", <-served)
	// Output:
	// gin: visit 1
	// gin: visit 2
	// served: <nil>
}

// Echo is an http.Handler, too.
func Example_echo() {
	app := echo.New()
	app.GET("/", func(c echo.Context) error {
		n, err := count(c.Request().Context())
		if err != nil {
			farm.Error(c.Response(), c.Request(), err)
			return nil
		}
		return c.String(http.StatusOK, fmt.Sprintf("echo: visit %d", n))
	})
	stop, served := serve(app)
	visit()
	visit()
	stop()
	fmt.Println("served:", <-served)
	// Output:
	// echo: visit 1
	// echo: visit 2
	// served: <nil>
}

// A WebSocket that ends when its node is about to stop. Draining tells the handler, at a moment of its own,
// so that not all visitors come to the other nodes at once; the visitor's program connects again, and gets to
// a node that stays.
func Example_webSocket() {
	chat := func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // answered by Accept
		}
		defer c.CloseNow()
		lines := make(chan string)
		go func() { // ends when the connection does
			defer close(lines)
			for {
				_, line, err := c.Read(context.Background())
				if err != nil {
					return
				}
				select {
				case lines <- string(line):
				case <-r.Context().Done(): // the handler has returned
					return
				}
			}
		}()
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					return
				}
				if c.Write(r.Context(), websocket.MessageText, []byte("you said "+line)) != nil {
					return
				}
			case <-farm.Draining(r.Context()):
				go func() { // what comes meanwhile is not answered any more
					for range lines {
					}
				}()
				c.Close(websocket.StatusGoingAway, "this node stops; come again")
				return
			}
		}
	}
	stop, served := serve(http.HandlerFunc(chat))

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, "ws://"+addr, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	c.Write(ctx, websocket.MessageText, []byte("hello"))
	_, line, err := c.Read(ctx)
	fmt.Println(string(line), err)
	stop()
	_, _, err = c.Read(ctx)
	fmt.Println(websocket.CloseStatus(err))
	fmt.Println("served:", <-served)
	// Output:
	// you said hello <nil>
	// StatusGoingAway
	// served: <nil>
}

var (
	addr    string       // of the farm that runs
	browser *http.Client // with cookies
)

// serve runs a farm of one, on loopback, until stop is called.
func serve(app http.Handler) (stop func(), served <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	dir, err := os.MkdirTemp("", "frameworks-")
	if err != nil {
		ended <- err
		return cancel, ended
	}
	f, err := farm.Open(farm.Config{
		HTTP: "127.0.0.1:0", Dir: dir, Logger: slog.New(slog.DiscardHandler),
		Cluster: cluster.Config{Expect: 1},                              // ready at once: there are no others
		Session: session.Config{Cookie: session.Cookie{Insecure: true}}, // plain HTTP, on loopback
	})
	if err != nil {
		ended <- err
		return cancel, ended
	}
	go func() {
		err := errors.Join(f.Serve(ctx, app), f.Close())
		ended <- errors.Join(err, os.RemoveAll(dir))
	}()
	if err := f.Ready(ctx); err != nil {
		fmt.Println(err)
	}
	addr = f.Addr()
	jar, _ := cookiejar.New(nil) // it never fails
	browser = &http.Client{Jar: jar}
	return cancel, ended
}

// visit asks for the first page and prints what comes.
func visit() {
	res, err := browser.Get("http://" + addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(page))
}
