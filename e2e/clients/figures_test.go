package clients

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"knative.dev/pkg/apis"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"knative.dev/serving/pkg/client/clientset/versioned"
)

// BenchmarkStart is the time from the start of the program until it serves requests, and has written its kubeconfig.
func BenchmarkStart(b *testing.B) {
	q := newQuickstart(b)
	for b.Loop() {
		q.stop()
		q.start()
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(q.port))
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}

// BenchmarkIdleMemory is the memory of a quickstart with one service, ten seconds after its start.
func BenchmarkIdleMemory(b *testing.B) {
	q := newQuickstart(b)
	newTerminal(b, q).ok("kubectl apply -f hello.yaml", "created")
	for b.Loop() {
		time.Sleep(10 * time.Second)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", q.cmd.Process.Pid))
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(kib)/1024, "MiB-RSS")
		}
	}
}

// BenchmarkApplyToReady is the time from the start of kubectl apply until a watch sees the Service Ready: the median of 20.
func BenchmarkApplyToReady(b *testing.B) {
	q := newQuickstart(b)
	k := newTerminal(b, q)
	client, err := versioned.NewForConfig(q.config())
	if err != nil {
		b.Fatal(err)
	}
	k.ok("kubectl get ksvc") // fills kubectl's cache
	var all []time.Duration
	for b.Loop() {
		all = all[:0]
		for i := range 20 {
			name := fmt.Sprintf("hello-%d", i)
			k.write("hello.yaml", strings.Replace(hello, "name: hello", "name: "+name, 1))
			w, err := client.ServingV1().Services("default").Watch(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			apply := k.start("kubectl apply -f hello.yaml")
			for event := range w.ResultChan() {
				if s, ok := event.Object.(*servingv1.Service); ok && event.Type != watch.Deleted && s.Status.GetCondition(apis.ConditionReady).IsTrue() {
					break
				}
			}
			all = append(all, time.Since(start))
			w.Stop()
			apply.waits()
		}
		k.ok("kubectl delete ksvc --all")
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Milliseconds()), "ms-p50")
}
