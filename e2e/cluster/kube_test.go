package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const system = "knative-serving"

var (
	ksvcs     = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}
	revisions = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "revisions"}
)

// kube is the cluster's API, and the suite's changes of Knative's configuration.
type kube struct {
	kubernetes.Interface
	dyn   dynamic.Interface
	run   string                    // distinguishes this run's namespaces from earlier ones that are still ending
	saved map[string]map[string]any // ConfigMap → key → previous value; nil: absent
}

func connect() (*kube, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	config.WarningHandler = rest.NoWarnings{}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	return &kube{Interface: typed, dyn: dyn, run: strconv.FormatInt(time.Now().Unix(), 36), saved: map[string]map[string]any{}}, err
}

// configure changes keys of one of Knative's ConfigMaps; restore undoes all such changes.
func (k *kube) configure(ctx context.Context, name string, data map[string]string) error {
	current, err := k.CoreV1().ConfigMaps(system).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if k.saved[name] == nil {
		k.saved[name] = map[string]any{}
	}
	for key := range data {
		if _, ok := k.saved[name][key]; ok {
			continue
		}
		k.saved[name][key] = nil
		if was, ok := current.Data[key]; ok {
			k.saved[name][key] = was
		}
	}
	return k.patchConfig(ctx, name, data)
}

func (k *kube) patchConfig(ctx context.Context, name string, data any) error {
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	return eventually(ctx, 20*time.Second, "ConfigMap "+name+" patched", func() error {
		_, err := k.CoreV1().ConfigMaps(system).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

func (k *kube) restore(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(k.saved)) {
		errs = append(errs, k.patchConfig(ctx, name, k.saved[name]))
	}
	return errors.Join(errs...)
}

// patchDeployment applies a merge patch to one of Knative's Deployments and waits for its rollout.
func (k *kube) patchDeployment(ctx context.Context, name, patch string) error {
	_, err := k.AppsV1().Deployments(system).Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return k.rolledOut(ctx, name)
}

func (k *kube) rolledOut(ctx context.Context, name string) error {
	return eventually(ctx, 2*time.Minute, name+" rolled out", func() error {
		d, err := k.AppsV1().Deployments(system).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != *d.Spec.Replicas || s.Replicas != *d.Spec.Replicas ||
			s.AvailableReplicas != *d.Spec.Replicas {
			return fmt.Errorf("%d of %d replicas available, %d updated", s.AvailableReplicas, *d.Spec.Replicas, s.UpdatedReplicas)
		}
		return nil
	})
}

// pods lists the pods of a selector that aren't ending.
func (k *kube) pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := k.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	}), nil
}

func (k *kube) activators(ctx context.Context) ([]corev1.Pod, error) {
	return k.pods(ctx, system, "app=activator")
}

func (k *kube) makeNamespace(ctx context.Context, name string) error {
	_, err := k.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"app.kubernetes.io/part-of": "sluice-e2e"},
	}}, metav1.CreateOptions{})
	return err
}

// deleteNamespace starts to delete a namespace, the Services first, so that their pods aren't created again.
func (k *kube) deleteNamespace(ctx context.Context, name string) error {
	err := k.dyn.Resource(ksvcs).Namespace(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		return err
	}
	return gone(k.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}))
}

// gone returns nil for the error of deleting an object that doesn't exist.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// putSecret makes or replaces the data of a Secret.
func (k *kube) putSecret(ctx context.Context, namespace, name string, data map[string][]byte) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/part-of": "sluice-e2e"}},
		Data:       data,
	}
	_, err := k.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = k.CoreV1().Secrets(namespace).Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

// eventually calls f until it succeeds, for limit at most.
func eventually(ctx context.Context, limit time.Duration, what string, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %v", limit))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}
