package cluster_test

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

var coldStartCases = []testCase{
	{name: "cold start: the app listens at once", run: coldStarts("at-once", nil)},
	{name: "cold start: the app listens a second later", long: true, run: coldStarts("later", map[string]string{"LISTEN_AFTER": "1s"})},
}

const starts = 10

// coldStarts starts services from zero, one after the other, and gives the medians of what it took from the app's
// listen() to the client's first byte, and of the parts. The clocks of client and pods have to agree.
func coldStarts(name string, env map[string]string) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		var all []*revision
		for i := range starts {
			r, err := w.deploy(ctx, service{name: fmt.Sprint(name, "-", i), env: env})
			if err != nil {
				return "", err
			}
			all = append(all, r)
		}
		var toListen, toApp, toByte, whole []time.Duration
		for _, r := range all {
			begun := time.Now()
			a, err := r.ok(ctx, "/")
			if err != nil {
				return "", err
			}
			listened, entered := moment(a, "X-Listen-At"), moment(a, "X-Entered-At")
			toListen = append(toListen, listened.Sub(begun))
			toApp = append(toApp, entered.Sub(listened))
			toByte = append(toByte, a.firstByte.Sub(entered))
			whole = append(whole, a.firstByte.Sub(listened))
		}
		return fmt.Sprintf("**%v** (%v–%v): %v until the request is in the app, %v back; before it %v until listen()",
			round(whole, 50), round(whole, 0), round(whole, 100), round(toApp, 50), round(toByte, 50), round(toListen, 50)), nil
	}
}

func moment(a *answer, header string) time.Time {
	ns, _ := strconv.ParseInt(a.header.Get(header), 10, 64)
	return time.Unix(0, ns)
}

func round(all []time.Duration, p int) time.Duration {
	d := percentile(all, p)
	if d > 20*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
