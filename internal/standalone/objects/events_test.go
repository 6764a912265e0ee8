package objects_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
)

// recorded returns the events of a store as kubectl shows them with -o wide, but for the times.
func recorded(t *testing.T, s *store.Store) (list []kubeapi.Object, rows []string) {
	t.Helper()
	k := kind(t, "events", "")
	list, _ = s.List(k.GroupVersionResource.GroupResource(), "")
	var items []objects.Item
	for _, o := range list {
		items = append(items, objects.Item{Resource: k.GroupVersionResource.GroupResource(), Object: o})
		cells := strings.Split(row(k, o, true), "|")
		rows = append(rows, strings.Join(slices.Concat(cells[1:7], cells[8:9]), "|"))
	}
	checkTypes(t, items)
	return list, rows
}

func TestEventsAreCounted(t *testing.T) {
	s := store.New(0)
	e := objects.NewEvents(s)
	hello := service(t, hello).Object
	e.Record(start, hello, objects.Normal, "Created", "Created Configuration \"hello\"", "service-controller")
	e.Record(start.Add(time.Second), hello, objects.Warning, "InternalError", "boom\n", "service-controller")
	e.Record(start.Add(time.Minute), hello, objects.Normal, "Created", "Created Configuration \"hello\"", "service-controller")
	objects.NewEvents(s).Record(start.Add(2*time.Minute), hello, objects.Warning, "InternalError", "boom\n", "service-controller")
	list, rows := recorded(t, s)
	want := []string{
		`Normal|Created|service/hello||service-controller|Created Configuration "hello"|2`,
		`Warning|InternalError|service/hello||service-controller|boom|2`,
	}
	slices.Sort(rows)
	if !slices.Equal(rows, want) {
		t.Errorf("events are\n%s", strings.Join(rows, "\n"))
	}
	first := list[0]
	if list[0].Object["reason"] != "Created" {
		first = list[1]
	}
	o := first.Object
	involved := o["involvedObject"].(map[string]any)
	if o["firstTimestamp"] != "2026-11-30T09:00:00Z" || o["lastTimestamp"] != "2026-11-30T09:01:00Z" ||
		involved["uid"] != string(hello.GetUID()) || involved["apiVersion"] != "serving.knative.dev/v1" ||
		first.GetName() != fmt.Sprintf("hello.%x", start.UnixNano()) || first.GetNamespace() != "default" || first.GetUID() == "" {
		t.Errorf("the event is %v", o)
	}
}

func TestEventsAreDropped(t *testing.T) {
	s := store.New(0)
	e := objects.NewEvents(s)
	hello := service(t, hello).Object
	for i := range 1500 {
		e.Record(start, hello, objects.Normal, "Scaled", fmt.Sprint(i), "autoscaler")
	}
	list, rows := recorded(t, s)
	if len(list) != 1000 || slices.Contains(rows, "Normal|Scaled|service/hello||autoscaler|499|1") {
		t.Errorf("%d events are kept, want the newest 1000", len(list))
	}
	e.Record(start.Add(time.Hour), hello, objects.Normal, "Scaled", "501", "autoscaler")
	e.Prune(start.Add(time.Hour + time.Second))
	if _, rows := recorded(t, s); !slices.Equal(rows, []string{"Normal|Scaled|service/hello||autoscaler|501|2"}) {
		t.Errorf("after an hour there are %v, want the one that was repeated", rows)
	}
	e.Prune(start.Add(3 * time.Hour))
	if list, _ := recorded(t, s); len(list) != 0 {
		t.Errorf("after three hours there are %v", list)
	}
}
