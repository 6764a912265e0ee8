package cluster_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"
)

// options are the flags, which don't change.
var options struct {
	app                 string
	ours, knative       images
	ways, core, report  string
	cases               *regexp.Regexp
	rate, conns         int
	large               int64
	stopAPI, startAPI   string
	outage, longSession time.Duration
}

func TestMain(m *testing.M) {
	flag.StringVar(&options.app, "app", os.Getenv("SLUICE_E2E_APP"), "image of the suite's app")
	flag.StringVar(&options.ours.activator, "activator", os.Getenv("SLUICE_E2E_ACTIVATOR"), "image of our activator")
	flag.StringVar(&options.ours.queue, "queue", os.Getenv("SLUICE_E2E_QUEUE"), "image of our queue-proxy")
	flag.StringVar(&options.ours.queueNext, "queue-next", "", "another name of the image of our queue-proxy, for a rollout")
	flag.StringVar(&options.knative.activator, "knative-activator", "", "image of Knative's activator (default: what the cluster runs)")
	flag.StringVar(&options.knative.queue, "knative-queue", "", "image of Knative's queue-proxy (default: what the cluster runs)")
	flag.StringVar(&options.knative.queueNext, "knative-queue-next", "", "another name of the image of Knative's queue-proxy")
	flag.StringVar(&options.ways, "ways", "knative,activator,queue,ours", "the ways to run: whose parts are ours")
	flag.StringVar(&options.core, "core", "", "the ways in which to leave out what takes long, as -test.short does in all")
	flag.StringVar(&options.report, "report", "", "file to write the table of outcomes to, as Markdown")
	flag.IntVar(&options.rate, "rate", 500, "requests a second of a load")
	flag.IntVar(&options.conns, "conns", 64, "connections of a load")
	flag.Int64Var(&options.large, "large", 1<<30, "bytes of a large body")
	flag.StringVar(&options.stopAPI, "stop-apiserver", "", "command that stops the API server")
	flag.StringVar(&options.startAPI, "start-apiserver", "", "command that starts the API server again")
	flag.DurationVar(&options.outage, "outage", time.Minute, "how long the autoscaler and the API server are away")
	flag.DurationVar(&options.longSession, "session", 2*time.Minute, "how long a websocket stays open")
	pattern := flag.String("cases", "", "run the cases whose name matches this regular expression")
	_ = flag.Set("test.parallel", "32") // more than cores, as cases mostly wait
	flag.Parse()
	var err error
	if options.cases, err = regexp.Compile(*pattern); err != nil {
		fmt.Fprintln(os.Stderr, "-cases:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// TestWays runs the cases in each of the ways. -short skips the long ones.
func TestWays(t *testing.T) {
	for what, value := range map[string]string{
		"KUBECONFIG, of a cluster with Knative Serving": os.Getenv("KUBECONFIG"), "-app": options.app,
	} {
		if value == "" {
			t.Skip("missing: " + what + " (README.md describes how to run the suite)")
		}
	}
	ctx := t.Context()
	k, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	running, err := k.current(ctx)
	if err != nil {
		t.Fatal("is this a cluster with Knative Serving? ", err)
	}
	options.knative.activator = cmp.Or(options.knative.activator, running.activator)
	options.knative.queue = cmp.Or(options.knative.queue, running.queue)
	t.Cleanup(func() { k.putBack(t, running) })
	if err := k.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	out := newReport()
	t.Cleanup(func() { out.write(t) })
	for _, w := range ways {
		if !w.in(options.ways) {
			continue
		}
		out.ways = append(out.ways, w)
		t.Run(w.name, func(t *testing.T) { runWay(t, k, w, out) })
	}
}

// prepare configures Knative to scale within seconds, and enables the features that the cases need.
func (k *kube) prepare(ctx context.Context) error {
	if err := k.configure(ctx, "config-autoscaler", map[string]string{
		"allow-zero-initial-scale": "true", "scale-to-zero-grace-period": "5s",
	}); err != nil {
		return err
	}
	return k.configure(ctx, "config-features", map[string]string{"multi-container-probing": "enabled"})
}

func (k *kube) putBack(t *testing.T, was images) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := k.restore(ctx); err != nil {
		t.Error(err)
	}
	if err := k.setActivator(ctx, was.activator); err != nil {
		t.Error(err)
	}
}

func runWay(t *testing.T, k *kube, w way, out *report) {
	if w.ours&activator != 0 && options.ours.activator == "" || w.ours&queue != 0 && options.ours.queue == "" {
		t.Skip("missing: -activator or -queue, our images")
	}
	world := &world{kube: k, way: w, load: new(sync.Mutex), logf: t.Logf}
	if err := world.swap(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, p := range phases {
		if p = p.selected(w); len(p.cases) == 0 {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			world.namespace = fmt.Sprintf("sluice-e2e-%s-%s-%d", k.run, w.name, i)
			p.run(t, world, out)
		})
	}
}
