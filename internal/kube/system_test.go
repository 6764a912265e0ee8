package kube

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// diary has a line for each callback.
type diary struct {
	t  *testing.T
	mu sync.Mutex
	is []string
}

func (d *diary) note(format string, a ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is = append(d.is, fmt.Sprintf(format, a...))
}

// expect waits for these lines, and no others.
func (d *diary) expect(want ...string) {
	d.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		d.mu.Lock()
		got := d.is
		d.mu.Unlock()
		if len(got) >= len(want) || time.Now().After(deadline) {
			if !reflect.DeepEqual(got, want) {
				d.t.Fatalf("published %q, want %q", got, want)
			}
			d.mu.Lock()
			d.is = nil
			d.mu.Unlock()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func configMapOf(obj string, bundle bool, data map[string]string) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: obj, Namespace: "system"}, Data: data}
	if bundle {
		c.Labels = map[string]string{"networking.knative.dev/trust-bundle": "true"}
	}
	return c
}

func secretOf(obj, crt string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: obj, Namespace: "system"}, Data: map[string][]byte{"tls.crt": []byte(crt)}}
}

// systemOf runs a System until the test ends.
func systemOf(t *testing.T, a *api, secrets []SecretWatch, relist time.Duration) (*System, *diary) {
	t.Helper()
	d := &diary{t: t}
	s, err := NewSystem(SystemConfig{
		REST: a.config(), Namespace: "system", ConfigMaps: []string{"config-a", "config-b"}, Secrets: secrets, Relist: relist,
		OnConfigMap: func(name string, data, labels map[string]string) {
			d.note("%s %v %v%s", name, data, data == nil, labels["version"])
		},
		OnSecret: func(name string, data map[string][]byte) {
			d.note("secret %s %s %v", name, data["tls.crt"], data == nil)
		},
		OnTrustBundles: func(pems [][]byte) {
			d.note("trust %s", pems)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		within(t, "the system ends", ended)
	})
	return s, d
}

func TestSystem(t *testing.T) {
	a := newAPI(t)
	elsewhere := configMapOf("config-a", false, map[string]string{"k": "elsewhere"})
	elsewhere.Namespace = "other"
	a.put("configmaps", elsewhere, configMapOf("config-a", false, map[string]string{"k": "v"}), configMapOf("config-z", false, nil))
	a.put("configmaps", configMapOf("ca-2", true, map[string]string{"y": "Y", "x": "X"}), configMapOf("ca-1", true, map[string]string{"z": "Z"}))
	a.deny("secrets", true) // the rest is published all the same
	s, d := systemOf(t, a, []SecretWatch{{Name: "certs"}}, 0)
	d.expect("config-a map[k:v] false", "config-b map[] true", "trust [Z X Y]")
	select {
	case <-s.Synced():
		t.Fatal("synced without the Secret")
	default:
	}
	a.put("secrets", secretOf("certs", "one"), secretOf("other", "two"))
	a.deny("secrets", false)
	d.expect("secret certs one false")
	within(t, "synced", s.Synced())

	a.put("configmaps", configMapOf("config-z", false, map[string]string{"k": "v"})) // it isn't wanted
	a.put("configmaps", configMapOf("config-b", false, nil))
	d.expect("config-b map[] false")
	newer := configMapOf("config-b", false, nil)
	newer.Labels = map[string]string{"version": " 1.2"}
	a.put("configmaps", newer)
	d.expect("config-b map[] false 1.2")
	a.delete("configmaps", "system", "config-a")
	d.expect("config-a map[] true")
	a.put("configmaps", configMapOf("ca-1", false, map[string]string{"z": "Z"})) // not a bundle any more
	d.expect("trust [X Y]")
	a.put("secrets", secretOf("certs", "rotated"))
	d.expect("secret certs rotated false")
	a.delete("secrets", "system", "certs")
	d.expect("secret certs  true")
	a.put("configmaps", configMapOf("config-a", true, map[string]string{"k": "both"}))
	d.expect("config-a map[k:both] false", "trust [X Y both]")
}

func TestPeers29SystemMissesADelete(t *testing.T) {
	a := newAPI(t)
	a.put("configmaps", configMapOf("config-a", false, map[string]string{"k": "v"}), configMapOf("ca", true, map[string]string{"z": "Z"}))
	a.put("secrets", secretOf("certs", "one"))
	s, d := systemOf(t, a, []SecretWatch{{Name: "certs"}}, 0)
	within(t, "synced", s.Synced())
	d.mu.Lock()
	d.is = nil
	d.mu.Unlock()
	a.forget("secrets", "system", "certs")
	a.expire()
	d.expect("secret certs  true")
	a.forget("configmaps", "system", "config-a")
	a.forget("configmaps", "system", "ca")
	a.expire()
	d.expect("config-a map[] true", "trust []")
}

// A Secret with From is watched once that is closed, and Synced doesn't wait for it.
func TestSystemWatchesASecretWhenItIsWanted(t *testing.T) {
	a := newAPI(t)
	a.put("secrets", secretOf("certs", "one"), secretOf("older", "two"))
	wanted := make(chan struct{})
	s, d := systemOf(t, a, []SecretWatch{{Name: "certs"}, {Name: "older", From: wanted}}, 0)
	within(t, "synced", s.Synced())
	d.mu.Lock()
	if !slices.Contains(d.is, "secret certs one false") || len(d.is) != 4 { // of either kind first
		t.Errorf("published %q", d.is)
	}
	d.is = nil
	d.mu.Unlock()
	close(wanted)
	d.expect("secret older two false")
	a.delete("secrets", "system", "certs")
	d.expect("secret certs  true")
	a.delete("secrets", "system", "older")
	d.expect("secret older  true")
}

func TestSystemWithoutSecret(t *testing.T) {
	a := newAPI(t)
	s, d := systemOf(t, a, nil, 0)
	within(t, "synced", s.Synced())
	d.expect("config-a map[] true", "config-b map[] true", "trust []")
	if n := a.count("watch secrets") + a.count("list secrets"); n > 0 {
		t.Errorf("%d requests for Secrets", n)
	}
}

func TestSystemConfigValidate(t *testing.T) {
	for _, c := range []SystemConfig{{Namespace: "s"}, {REST: &rest.Config{}}, {REST: &rest.Config{}, Namespace: "s", Relist: -1}} {
		if _, err := NewSystem(c); err == nil {
			t.Errorf("%+v is valid", c)
		}
	}
}
