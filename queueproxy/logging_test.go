package queueproxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/proxy"
)

// defect is a policy.
type defect struct{}

func (defect) Begin(*proxy.Request) proxy.Exchange { panic("a defect") }

// A panic while serving is logged as the error that it is, in both protocols; the rest of what servers say is for
// debugging.
func TestAPanicIsLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	c := Config{
		UserAddr: deadAddr(t), DrainQuiet: time.Millisecond, Addrs: Addrs{Serve: "127.0.0.1:0", Admin: Off, Stats: Off},
		WrapPolicy: func(proxy.Policy) proxy.Policy { return defect{} },
	}
	p, err := New(c, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	pod := runPod(t, p)
	for _, client := range []*http.Client{pod.client, pod.h2c} {
		if _, err := client.Do(pod.request("/")); err == nil {
			t.Error("an answer")
		}
		eventually(t, "the panic is logged", func() bool { return logs.Len() > 0 })
		if e := logs.TakeAll()[0]; e.Level != zap.ErrorLevel || !strings.Contains(e.Message, "a defect") {
			t.Errorf("%v %q", e.Level, e.Message)
		}
	}
}
