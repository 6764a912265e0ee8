package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-proxy/sluice/proxy"
)

// toApp is a policy without rules: every request goes to one place.
type toApp struct {
	proxy.NopExchange
	addr string
}

func (p toApp) Begin(*proxy.Request) proxy.Exchange { return p }

func (p toApp) Next(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	return proxy.Forward(proxy.Upstream{Addr: p.addr}), a.Cause
}

// A proxy in ten lines: it forwards whatever it is asked to one app.
func Example() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from %s", r.RequestURI)
	}))
	defer app.Close()

	h, err := proxy.New(proxy.Config{Policy: toApp{addr: app.Listener.Addr().String()}, Name: "example"})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	front := httptest.NewServer(h)
	defer front.Close()

	resp, err := http.Get(front.URL + "//a?")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	http.DefaultClient.CloseIdleConnections()
	// Output: 200 Hello from //a?
}
