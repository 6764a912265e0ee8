package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// parts is a set of the parts of a data plane.
type parts uint8

const (
	activator parts = 1 << iota
	queue
	both = activator | queue
)

// ways are the four columns of the table, with the parts that are ours.
var ways = []way{
	{"knative", "Knative's pair", 0},
	{"activator", "our activator", activator},
	{"queue", "our queue-proxy", queue},
	{"ours", "our pair", both},
}

type way struct {
	name, title string
	ours        parts
}

// in reports whether the way is in a comma-separated list.
func (w way) in(list string) bool { return slices.Contains(strings.Split(list, ","), w.name) }

// world is the environment of a case.
type world struct {
	*kube
	way       way
	namespace string
	shared    map[string]*revision // revisions that a phase has deployed for its cases
	deployed  *deployed            // by the phase or by the case
	roots     *authority           // the authority of the phase with TLS
	load      *sync.Mutex          // held by the one load of the full rate
	logf      func(format string, args ...any)
}

// images are the two images of a data plane.
type images struct {
	activator, queue string
	queueNext        string // another name of the same image, for a rollout, or empty
}

func (w *world) images() images {
	i := options.knative
	if w.way.ours&activator != 0 {
		i.activator = options.ours.activator
	}
	if w.way.ours&queue != 0 {
		i.queue, i.queueNext = options.ours.queue, options.ours.queueNext
	}
	return i
}

// swap installs the way's images and, as config/ does, the tokens by which our pods announce themselves to our activators. It
// changes nothing else of Knative Serving. The role that config/ adds must exist already.
func (w *world) swap(ctx context.Context) error {
	i, audiences := w.images(), ""
	if w.way.ours == both {
		audiences = "sluice"
	}
	if err := w.configure(ctx, "config-deployment", map[string]string{
		"queue-sidecar-image": i.queue, "queue-sidecar-token-audiences": audiences,
	}); err != nil {
		return err
	}
	return w.setActivator(ctx, i.activator)
}

func (k *kube) setActivator(ctx context.Context, image string) error {
	return k.patchDeployment(ctx, "activator",
		fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"activator","image":%q}]}}}}`, image))
}

// restartActivator rolls the Deployment, as kubectl rollout restart does.
func (k *kube) restartActivator(ctx context.Context) error {
	return k.patchDeployment(ctx, "activator", fmt.Sprintf(
		`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano)))
}

// current finds the images that the cluster runs, which are Knative's, unless flags name them.
func (k *kube) current(ctx context.Context) (images, error) {
	d, err := k.AppsV1().Deployments(system).Get(ctx, "activator", metav1.GetOptions{})
	if err != nil {
		return images{}, err
	}
	c, err := k.CoreV1().ConfigMaps(system).Get(ctx, "config-deployment", metav1.GetOptions{})
	if err != nil {
		return images{}, err
	}
	return images{activator: d.Spec.Template.Spec.Containers[0].Image, queue: c.Data["queue-sidecar-image"]}, nil
}
