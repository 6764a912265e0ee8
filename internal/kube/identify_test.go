package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// token asks for one of the service account "apps" in namespace ns, for an audience, bound to a pod if one is named.
func (k *kubernetes) token(audience, pod string) string {
	k.t.Helper()
	bound := ""
	if pod != "" {
		bound = fmt.Sprintf(`,"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":%q}`, pod)
	}
	data, err := k.admin.Post().AbsPath("/api/v1/namespaces/ns/serviceaccounts/apps/token").Body([]byte(fmt.Sprintf(
		`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":[%q]%s}}`, audience, bound,
	))).Do(context.Background()).Raw()
	if err != nil {
		k.t.Fatal(err)
	}
	var answer authenticationv1.TokenRequest
	if err := json.Unmarshal(data, &answer); err != nil {
		k.t.Fatal(err)
	}
	return answer.Status.Token
}

// pod makes one of the service account "apps" that is never started, and returns its UID.
func (k *kubernetes) pod(name string) string {
	k.t.Helper()
	k.create("/api/v1/namespaces/ns/pods", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"`+name+`"},
		"spec":{"serviceAccountName":"apps","containers":[{"name":"c","image":"none"}]}}`)
	data, err := k.admin.Get().AbsPath("/api/v1/namespaces/ns/pods/" + name).Do(context.Background()).Raw()
	if err != nil {
		k.t.Fatal(err)
	}
	var made struct{ Metadata struct{ UID string } }
	if err := json.Unmarshal(data, &made); err != nil || made.Metadata.UID == "" {
		k.t.Fatalf("%s: %v", data, err)
	}
	return made.Metadata.UID
}

func newTestReviewer(t *testing.T, k *kubernetes) *Reviewer {
	t.Helper()
	r, err := NewReviewer(k.config("activator-token"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestReviewerOnKubernetes(t *testing.T) {
	k := newKubernetes(t)
	r := newTestReviewer(t, k)
	k.namespace("ns")
	k.create("/api/v1/namespaces/ns/serviceaccounts", `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"apps"}}`)
	uid := k.pod("hello-1")
	k.pod("hello-2")
	good, gone := k.token(knative.AudienceSluice, "hello-1"), k.token(knative.AudienceSluice, "hello-2")

	// Without leave to review tokens nothing is said of the token.
	id, err := r.Identify(t.Context(), good)
	if err == nil || errors.Is(err, activator.ErrUnproven) || !strings.Contains(err.Error(), "forbidden") || id != (activator.PodIdentity{}) {
		t.Errorf("without leave: %+v, %v", id, err)
	}
	k.grant("reviews", "authentication.k8s.io", `"tokenreviews"`, "create")
	k.eventually("reviews are granted", func() error {
		_, err := r.Identify(context.Background(), "none")
		if errors.Is(err, activator.ErrUnproven) {
			return nil
		}
		return fmt.Errorf("%w", err)
	})

	id, err = r.Identify(t.Context(), good)
	if want := (activator.PodIdentity{Namespace: "ns", Name: "hello-1", UID: uid}); err != nil || id != want {
		t.Errorf("%+v, %v, want %+v", id, err, want)
	}
	k.delete("/api/v1/namespaces/ns/pods/hello-2")
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, token := range map[string]string{
		"another audience":   k.token("another", "hello-1"),
		"the API server's":   k.token("https://test", "hello-1"),
		"bound to no pod":    k.token(knative.AudienceSluice, ""),
		"a pod that is gone": gone,
		"a user's":           "admin-token",
		"no token":           "x",
		"another signature":  header + "." + payload + "." + strings.Repeat("A", len(signature)),
	} {
		id, err := r.Identify(t.Context(), token)
		if !errors.Is(err, activator.ErrUnproven) || id != (activator.PodIdentity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if err != nil && strings.Contains(err.Error(), token) && len(token) > 1 {
			t.Errorf("%s: the error says the token: %v", name, err)
		}
	}

	k.kill()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if id, err := r.Identify(ctx, good); err == nil || errors.Is(err, activator.ErrUnproven) {
		t.Errorf("without an API server: %+v, %v", id, err)
	}
}

// What a token review says, beyond what the API server of today does.
func TestIdentityOf(t *testing.T) {
	extra := func(pairs ...string) map[string]authenticationv1.ExtraValue {
		m := map[string]authenticationv1.ExtraValue{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = authenticationv1.ExtraValue{pairs[i+1]}
		}
		return m
	}
	bound := extra(extraPodName, "p", extraPodUID, "u")
	sluice := []string{"other", knative.AudienceSluice}
	for name, c := range map[string]struct {
		status authenticationv1.TokenReviewStatus
		want   activator.PodIdentity
		err    string
	}{
		"a pod": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:apps", Extra: bound}},
			activator.PodIdentity{Namespace: "ns", Name: "p", UID: "u"},
			"",
		},
		"an error": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, Error: "broken", User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:apps", Extra: bound}},
			activator.PodIdentity{},
			"broken",
		},
		"unknown": {authenticationv1.TokenReviewStatus{Audiences: sluice}, activator.PodIdentity{}, "the API server doesn't accept the token"},
		"an API server that knows no audiences": {
			authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:apps", Extra: bound}},
			activator.PodIdentity{},
			"the token is for another audience",
		},
		"a user with a pod's fields": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, User: authenticationv1.UserInfo{Username: "ns:apps", Extra: bound}},
			activator.PodIdentity{},
			"the token isn't bound to a pod",
		},
		"no namespace": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, User: authenticationv1.UserInfo{Username: "system:serviceaccount:", Extra: bound}},
			activator.PodIdentity{},
			"the token isn't bound to a pod",
		},
		"no UID": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:apps", Extra: extra(extraPodName, "p")}},
			activator.PodIdentity{},
			"the token isn't bound to a pod",
		},
		"no name": {
			authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: sluice, User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:apps", Extra: extra(extraPodUID, "u")}},
			activator.PodIdentity{},
			"the token isn't bound to a pod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := identityOf(&c.status)
			if id != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}
