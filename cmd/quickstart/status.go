package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/client"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// serviceStatus is a service in the output of status -o json.
type serviceStatus struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	URL       string           `json:"url"`
	State     screen.State     `json:"state"`
	Reason    string           `json:"reason,omitempty"`
	Latest    string           `json:"latestRevision"`
	Revisions []revisionStatus `json:"revisions"`
}

type revisionStatus struct {
	Name    string       `json:"name"`
	Percent int64        `json:"percent"`
	Tags    []tagStatus  `json:"tags,omitempty"`
	State   screen.State `json:"state"`
	Reason  string       `json:"reason,omitempty"`
	Actual  int64        `json:"actualReplicas"`
	Desired int64        `json:"desiredReplicas"`
}

type tagStatus struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// status is the subcommand of that name.
func status(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newSubcommandFlags("status", "[-o json]: the services of the running quickstart")
	output := flags.String("o", "", "output `format`: json, or by default a table")
	if _, err := flags.parse(args, 0, stderr); err != nil {
		return err
	}
	if *output != "" && *output != "json" {
		return fmt.Errorf("status: -o should be json, is %q", *output)
	}
	c, err := flags.open()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := statusOf(ctx, c)
	if err != nil {
		return err
	}
	if *output == "json" {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(map[string]any{"services": all})
	}
	for _, line := range screen.Table(rows(all)) {
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// statusOf returns the services that the API has.
func statusOf(ctx context.Context, c *client.Client) ([]serviceStatus, error) {
	const group = "/apis/serving.knative.dev/v1/"
	services, _, err := c.List(ctx, group+"services", "")
	if err != nil {
		return nil, err
	}
	revisions, _, err := c.List(ctx, group+"revisions", "")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(revisions, func(a, b unstructured.Unstructured) int { // as on the screen
		x, _ := objects.Generation(&a)
		y, _ := objects.Generation(&b)
		return cmp.Compare(y, x)
	})
	all := []serviceStatus{}
	for _, o := range services {
		s := serviceStatus{Namespace: o.GetNamespace(), Name: o.GetName(), Revisions: []revisionStatus{}}
		s.State, s.Reason = readiness(o)
		s.URL, _, _ = unstructured.NestedString(o.Object, "status", "url")
		s.Latest, _, _ = unstructured.NestedString(o.Object, "status", "latestCreatedRevisionName")
		for _, r := range revisions {
			if r.GetNamespace() == s.Namespace && r.GetLabels()[knative.LabelService] == s.Name {
				s.Revisions = append(s.Revisions, revisionOf(o, r, s.Latest))
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// revisionOf returns the status of a revision of service, whose latest revision has that name.
func revisionOf(service, revision unstructured.Unstructured, latest string) revisionStatus {
	r := revisionStatus{Name: revision.GetName()}
	r.State, r.Reason = readiness(revision)
	r.Actual, _, _ = unstructured.NestedInt64(revision.Object, "status", "actualReplicas")
	r.Desired, _, _ = unstructured.NestedInt64(revision.Object, "status", "desiredReplicas")
	targets, routed, _ := unstructured.NestedSlice(service.Object, "status", "traffic")
	if !routed { // no revision has been ready, but requests go where they should
		targets, _, _ = unstructured.NestedSlice(service.Object, "spec", "traffic")
	}
	for _, t := range targets {
		target, _ := t.(map[string]any)
		name, _ := target["revisionName"].(string)
		if cmp.Or(name, latest) != r.Name {
			continue
		}
		percent, _ := target["percent"].(int64)
		r.Percent += percent
		if tag, _ := target["tag"].(string); tag != "" {
			url, _ := target["url"].(string)
			r.Tags = append(r.Tags, tagStatus{tag, url})
		}
	}
	return r
}

// readiness returns the state that the condition Ready of an object stands for, and its message.
func readiness(o unstructured.Unstructured) (state screen.State, why string) {
	c := objects.ConditionOf(&o, "Ready")
	why, _ = c["message"].(string)
	switch c["status"] {
	case string(objects.True):
		return screen.Ready, why
	case string(objects.False):
		return screen.NotReady, why
	}
	return screen.Starting, why
}

// rows returns the rows of a table.
func rows(all []serviceStatus) []screen.Service {
	var rows []screen.Service
	for _, s := range all {
		row := screen.Service{Name: screen.NameOf(s.Namespace, s.Name), URL: s.URL, Latest: s.Latest, State: s.State}
		for _, r := range s.Revisions {
			one := screen.Revision{Name: r.Name, Percent: int(r.Percent), Actual: int(r.Actual), Desired: int(r.Desired), State: r.State, Reason: r.Reason}
			for _, t := range r.Tags {
				one.URLs = append(one.URLs, t.URL)
			}
			row.Actual += one.Actual
			row.Desired += one.Desired
			row.Revisions = append(row.Revisions, one)
		}
		rows = append(rows, row)
	}
	return rows
}
