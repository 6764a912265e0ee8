package broker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/sluice-proxy/sluice/broker"
)

func Example() {
	dir, err := os.MkdirTemp("", "events-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	delivered := make(chan string)
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		delivered <- fmt.Sprintf("order of %s: %s", r.Header.Get("Ce-Subject"), data)
	}))
	defer orders.Close()

	s, err := broker.Open(broker.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.SetBroker(broker.Broker{ID: broker.ID{Namespace: "default", Name: "example-broker"}}); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.SetTrigger(broker.Trigger{
		ID: broker.ID{Namespace: "default", Name: "orders"}, Broker: "example-broker", Subscriber: orders.URL,
		Filter: broker.Filter{Attributes: map[string]string{"type": "order"}},
		Key:    "subject", // one customer's orders one after another
	}); err != nil {
		fmt.Println(err)
		return
	}
	front := httptest.NewServer(s)
	defer front.Close()

	event, _ := http.NewRequest(http.MethodPost, front.URL+"/default/example-broker", strings.NewReader("a bicycle"))
	for name, value := range map[string]string{"Id": "1", "Source": "shop", "Type": "order", "Specversion": "1.0", "Subject": "alice"} {
		event.Header.Set("Ce-"+name, value)
	}
	response, err := http.DefaultClient.Do(event)
	if err != nil {
		fmt.Println(err)
		return
	}
	response.Body.Close()
	fmt.Println(response.Status)
	fmt.Println(<-delivered)
	// Output:
	// 202 Accepted
	// order of alice: a bicycle
}
