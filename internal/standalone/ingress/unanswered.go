package ingress

import (
	"container/list"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// unanswered has the requests of each revision that have had no response yet, oldest first.
type unanswered struct {
	mu  sync.Mutex
	all map[revision]*list.List // of time.Time: since when
}

type revision struct{ namespace, name string }

// begin adds a request of a revision.
func (u *unanswered) begin(r revision, e proxy.Exchange) proxy.Exchange {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.all[r]
	if l == nil {
		l = list.New()
		u.all[r] = l
	}
	return &awaited{Exchange: e, of: u, revision: r, place: l.PushBack(time.Now())}
}

// oldest returns since when the oldest request of a revision has waited; zero: none waits.
func (u *unanswered) oldest(r revision) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l := u.all[r]; l != nil {
		return l.Front().Value.(time.Time)
	}
	return time.Time{}
}

// awaited is an exchange until its response begins.
type awaited struct {
	proxy.Exchange
	of       *unanswered
	revision revision
	place    *list.Element // nil: the response has started, or never will
}

// Response ends the wait, unless the response is discarded.
func (a *awaited) Response(req *proxy.Request, resp *proxy.Response) bool {
	pass := a.Exchange.Response(req, resp)
	if pass {
		a.leave()
	}
	return pass
}

// End ends the wait.
func (a *awaited) End(req *proxy.Request, r proxy.Result) {
	a.leave()
	a.Exchange.End(req, r)
}

func (a *awaited) leave() {
	if a.place == nil {
		return
	}
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	l := a.of.all[a.revision]
	if l.Remove(a.place); l.Len() == 0 {
		delete(a.of.all, a.revision)
	}
	a.place = nil
}
