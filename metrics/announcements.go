package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Announcements counts requests by which pods announce themselves before Kubernetes lists them (Received), and those by which
// activators pass these on to each other (Relayed), by result. Its methods may be called concurrently and don't block.
type Announcements struct{ heard, relayed map[string]prometheus.Counter }

// NewAnnouncements registers sluice_announcements_total and sluice_announcement_relays_total with r. The results given
// are all that there are; they show from the start with 0.
func NewAnnouncements(r prometheus.Registerer, heard, relayed []string) (*Announcements, error) {
	a := &Announcements{heard: map[string]prometheus.Counter{}, relayed: map[string]prometheus.Counter{}}
	for _, c := range []struct {
		name, help string
		results    []string
		of         map[string]prometheus.Counter
	}{
		{"sluice_announcements_total", "Announcements of pods, by what became of them.", heard, a.heard},
		{"sluice_announcement_relays_total", "Announcements passed on to other activators, by what became of them.", relayed, a.relayed},
	} {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: c.name, Help: c.help}, []string{"result"})
		if err := register(r, vec); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		for _, result := range c.results {
			c.of[result] = vec.WithLabelValues(result)
		}
	}
	return a, nil
}

// Received counts an announcement. A result that NewAnnouncements was not given is not counted.
func (a *Announcements) Received(result string) { inc(a.heard[result]) }

// Relayed counts an attempt to pass one on, as Received does.
func (a *Announcements) Relayed(result string) { inc(a.relayed[result]) }

func inc(c prometheus.Counter) {
	if c != nil {
		c.Inc()
	}
}
