package ingress

import (
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// discarding is an exchange that discards the first response.
type discarding struct {
	proxy.NopExchange
	responses int
}

func (d *discarding) Response(*proxy.Request, *proxy.Response) bool {
	d.responses++
	return d.responses > 1
}

func TestOldestIsTheFirstWithoutAResponse(t *testing.T) {
	i := New(Config{})
	r := revision{"default", "a"}
	oldest := func() time.Time { return i.Oldest(r.namespace, r.name) }
	first := i.open.begin(r, &discarding{})
	since := oldest()
	time.Sleep(time.Millisecond)
	second := i.open.begin(r, proxy.NopExchange{})
	third := i.open.begin(r, proxy.NopExchange{})
	if since.IsZero() || !oldest().Equal(since) {
		t.Errorf("%v, was %v", oldest(), since)
	}
	if first.Response(nil, nil); !oldest().Equal(since) {
		t.Error("a response that was discarded counts")
	}
	second.End(nil, proxy.Result{})
	if first.Response(nil, nil); !oldest().After(since) {
		t.Error("its response has begun")
	}
	first.End(nil, proxy.Result{})
	third.Response(nil, nil)
	third.End(nil, proxy.Result{})
	if !oldest().IsZero() || len(i.open.all) > 0 || !i.Oldest("default", "b").IsZero() {
		t.Errorf("%v is left: %v", oldest(), i.open.all)
	}
}
