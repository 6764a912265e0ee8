package metrics

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// secondsBuckets are the boundaries of the current names' histograms, those of
// OpenTelemetry's HTTP conventions, and millisBuckets those of the classic
// names (contract, "Metric names").
func secondsBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

func millisBuckets() []float64 {
	return []float64{
		5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900,
		1000, 2000, 5000, 10000, 20000, 50000, 100000,
	}
}

// Label names of OpenTelemetry attributes, as Prometheus writes them.
const (
	labelStatus        = "http_response_status_code"
	labelRouteTag      = "kn_route_tag"
	labelService       = "kn_service_name"
	labelConfiguration = "kn_configuration_name"
	labelRevision      = "kn_revision_name"
	labelNamespace     = "k8s_namespace_name"
	labelPod           = "k8s_pod_name"
)

// series is one time series, or two that are counted together.
type series struct {
	durations prometheus.Observer
	count     prometheus.Counter // nil for current names: the histogram counts
	unit      time.Duration      // of durations
}

func (s *series) observe(d time.Duration) {
	// A clock that went back must not let a sum decrease.
	s.durations.Observe(float64(max(d, 0)) / float64(s.unit))
	if s.count != nil {
		s.count.Inc()
	}
}

// byStatus finds the series of a status code without a lock or an allocation.
// A revision has few codes, so a linear search is faster than a map.
type byStatus struct {
	mu   sync.Mutex // one addition at a time; list is replaced, never changed
	list atomic.Pointer[[]statusSeries]
}

type statusSeries struct {
	status int
	series *series
}

// get returns the series of status, which the first call gets from make. If make
// returns nil, so does get, and nothing is kept.
func (b *byStatus) get(status int, make func(status int) *series) *series {
	if s := b.find(status); s != nil {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.find(status); s != nil {
		return s
	}
	s := make(status)
	if s == nil {
		return nil
	}
	list := append([]statusSeries(nil), b.all()...)
	list = append(list, statusSeries{status, s})
	b.list.Store(&list)
	return s
}

func (b *byStatus) find(status int) *series {
	for _, e := range b.all() {
		if e.status == status {
			return e.series
		}
	}
	return nil
}

func (b *byStatus) all() []statusSeries {
	if l := b.list.Load(); l != nil {
		return *l
	}
	return nil
}

// statusLabel is a status as a label, and its class.
func statusLabel(status int) (code, class string) {
	return strconv.Itoa(status), strconv.Itoa(status/100) + "xx"
}

// knownStatus bounds the number of series: what is no status code (RFC 9110 §15) is 0.
func knownStatus(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}

// bounded maps at most max names to values; finding one takes no lock and no
// allocation. Further names, and those longer than maxLen or not UTF-8, get the
// value overflow.
type bounded[T any] struct {
	max, maxLen int
	overflow    *T
	make        func(name string) *T

	mu  sync.Mutex // one addition at a time; the map is replaced, never changed
	all atomic.Pointer[map[string]*T]
}

func (b *bounded[T]) get(name string) *T {
	known := b.all.Load()
	if known != nil {
		if v := (*known)[name]; v != nil {
			return v
		}
		if len(*known) >= b.max {
			return b.overflow
		}
	}
	if len(name) > b.maxLen || !utf8.ValidString(name) {
		return b.overflow
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := map[string]*T{}
	if known = b.all.Load(); known != nil {
		if v := (*known)[name]; v != nil {
			return v
		}
		if len(*known) >= b.max {
			return b.overflow
		}
		next = maps.Clone(*known)
	}
	name = strings.Clone(name) // it may be part of a buffer that is reused
	v := b.make(name)
	next[name] = v
	b.all.Store(&next)
	return v
}

// register registers all collectors or none.
func register(r prometheus.Registerer, all ...prometheus.Collector) error {
	for i, c := range all {
		if err := r.Register(c); err != nil {
			for _, done := range all[:i] {
				r.Unregister(done)
			}
			return err
		}
	}
	return nil
}
