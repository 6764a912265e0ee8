package ping

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Retries are those of Knative's PingSource (knative.dev/eventing/pkg/adapter/mtping/runner.go).
const (
	retries   = 5
	firstWait = 50 * time.Millisecond // doubled for each retry
	// attemptTime bounds an attempt: a sink at zero has to start.
	attemptTime = 60 * time.Second
	// mostRead is how much of a response is read so that its connection can be used again.
	mostRead = 64 << 10
)

// Config of a Pinger. All fields but Failed are required.
type Config struct {
	Event    Event
	Schedule cron.Schedule
	Sink     string // the URL
	Client   *http.Client
	NewID    func() string
	Failed   func(error) // is called for each event that is given up; it must not block
}

// Pinger sends events. Make one with Start.
type Pinger struct {
	config Config
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// Start returns a Pinger that sends until Stop.
func Start(c Config) *Pinger {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pinger{config: c, cancel: cancel}
	p.tasks.Go(func() { p.run(ctx) })
	return p
}

// Stop ends all of p, also what it is sending.
func (p *Pinger) Stop() {
	p.cancel()
	p.tasks.Wait()
}

// run sends an event whenever it is time to, whether the one before has arrived or not.
func (p *Pinger) run(ctx context.Context) {
	for {
		next := p.config.Schedule.Next(time.Now())
		if next.IsZero() { // there is no such day
			<-ctx.Done()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		p.tasks.Go(func() {
			if err := p.send(ctx, p.config.NewID(), next); err != nil && ctx.Err() == nil && p.config.Failed != nil {
				p.config.Failed(err)
			}
		})
	}
}

// send sends an event until the sink has taken or refused it.
func (p *Pinger) send(ctx context.Context, id string, at time.Time) error {
	wait := firstWait
	for n := 0; ; n++ {
		again, err := p.attempt(ctx, id, at)
		if err == nil || !again || n == retries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// attempt sends an event once; again: it may help to send it again.
func (p *Pinger) attempt(ctx context.Context, id string, at time.Time) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	r, err := p.config.Event.request(ctx, p.config.Sink, id, at)
	if err != nil {
		return false, err
	}
	resp, err := p.config.Client.Do(r)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, mostRead)
	if resp.StatusCode < 300 {
		return false, nil
	}
	return cloudevent.Retriable(resp.StatusCode), fmt.Errorf("%s answered %s", p.config.Sink, resp.Status)
}
