package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"
)

// sink answers with its statuses, one after the other, and then with 202.
type sink struct {
	mu       sync.Mutex
	statuses []int // 0: it can't be reached
	took     time.Duration
	got      []string
}

func (s *sink) RoundTrip(r *http.Request) (*http.Response, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(s.took):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprintf("%s %s %s", time.Now().UTC().Format("05.000"), r.Header.Get("Ce-Id"), data))
	status := http.StatusAccepted
	if len(s.statuses) > 0 {
		status, s.statuses = s.statuses[0], s.statuses[1:]
	}
	if status == 0 {
		return nil, errors.New("no route to host")
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprintf("%d", status), Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// ping runs a Pinger of a schedule for a while of a bubble's time, and returns what the sink got and the errors.
func ping(t *testing.T, to *sink, schedule string, d time.Duration) (errs []string) {
	t.Helper()
	parsed, err := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(schedule)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var mu sync.Mutex
	p := Start(Config{
		Event: Event{Type: "dev.knative.sources.ping", Source: "/s", Data: []byte("tick")}, Schedule: parsed, Sink: "http://sink",
		Client: &http.Client{Transport: to},
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprintf("id-%d", n)
		},
		Failed: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err.Error())
		},
	})
	time.Sleep(d)
	p.Stop()
	return errs
}

func TestPingsAtTheTimesOfTheSchedule(t *testing.T) {
	for schedule, want := range map[string]string{
		"*/20 * * * * *": "20.000 id-1 tick, 40.000 id-2 tick, 00.000 id-3 tick",
		"* * * * *":      "00.000 id-1 tick",
		"0 0 30 2 *":     "", // there is no such day
	} {
		synctest.Test(t, func(t *testing.T) {
			to := &sink{}
			if errs := ping(t, to, schedule, time.Minute+time.Second); len(errs) > 0 || strings.Join(to.got, ", ") != want {
				t.Errorf("%s: got %q, %q, want %s", schedule, to.got, errs, want)
			}
		})
	}
}

func TestPingIsSentAgain(t *testing.T) {
	for _, c := range []struct {
		statuses []int
		want     string
		err      string
	}{
		{[]int{0, 503, 404}, "01.000 id-1 tick, 01.050 id-1 tick, 01.150 id-1 tick, 01.350 id-1 tick", ""},
		{[]int{500, 500, 500, 500, 500, 500, 500}, "01.000 id-1 tick, 01.050 id-1 tick, 01.150 id-1 tick, 01.350 id-1 tick, 01.750 id-1 tick, 02.550 id-1 tick", "[http://sink answered 500]"},
		{[]int{400}, "01.000 id-1 tick", "[http://sink answered 400]"},
		{[]int{307}, "01.000 id-1 tick", "[http://sink answered 307]"},
		{[]int{200}, "01.000 id-1 tick", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			to := &sink{statuses: c.statuses}
			errs := ping(t, to, "1 * * * * *", 30*time.Second)
			if got := strings.Join(to.got, ", "); got != c.want || len(errs) > 0 && fmt.Sprint(errs) != c.err || len(errs) == 0 && c.err != "" {
				t.Errorf("%v: got %s, %q, want %s, %s", c.statuses, got, errs, c.want, c.err)
			}
		})
	}
}

// A sink that is slow delays no other event, and Stop doesn't wait for it.
func TestPingsOfASlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{took: 1500 * time.Millisecond}
		errs := ping(t, to, "* * * * * *", 4*time.Second)
		if want := "02.500 id-1 tick, 03.500 id-2 tick"; strings.Join(to.got, ", ") != want || len(errs) > 0 {
			t.Errorf("got %q, %q, want %s", to.got, errs, want)
		}
	})
}

func TestEventInBinaryMode(t *testing.T) {
	e := Event{
		Type: "dev.knative.sources.ping", Source: "/apis/v1/namespaces/default/pingsources/p", ContentType: "application/json", Data: []byte("{}"),
		Extensions: map[string]string{"team": `Grün "1"`, "Upper": "100%"},
	}
	r, err := e.request(context.Background(), "http://sink/path", "id", time.Date(2026, 11, 30, 9, 0, 0, 0, time.FixedZone("", 3600)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-type": "dev.knative.sources.ping", "ce-source": "/apis/v1/namespaces/default/pingsources/p", "ce-id": "id",
		"ce-time": "2026-11-30T08:00:00Z", "ce-team": "Gr%C3%BCn%20%221%22", "ce-upper": "100%25", "content-type": "application/json",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if r.Method != http.MethodPost || r.URL.String() != "http://sink/path" || len(r.Header) != 8 || r.ContentLength != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := e.request(context.Background(), "http://[", "id", time.Time{}); err == nil {
		t.Error("no error for a sink that is no URL")
	}
	e.Extensions["time"] = "noon"
	if _, err := e.request(context.Background(), "http://sink", "id", time.Time{}); err == nil || !strings.HasPrefix(err.Error(), "the event of /apis/v1/namespaces/default/pingsources/p: ") {
		t.Errorf("an attribute that is no time: %v", err)
	}
}
