package knative

import "testing"

func TestParseRelease(t *testing.T) {
	for text, want := range map[string]Release{
		"1.2": 2, "1.2.0": 2, "v1.2.0": 2, "1.24.1": 24, "v1.10": 10, "1.7.0-rc1": 7,
	} {
		if got, err := ParseRelease(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "devel", "1", "1.", "2.3", "0.26", "1.x", "1.0", "1.300", "1.-2", "v20240101-local", "1.7-rc1"} {
		if got, err := ParseRelease(text); got != 0 || err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestReleaseOf(t *testing.T) {
	type labels = map[string]string
	for _, c := range []struct {
		labels labels
		want   Release
	}{
		{nil, 0},
		{labels{"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": "1.2.0", "serving.knative.dev/release": "v1.2.0"}, 2},
		{labels{"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": "1.23.0", "app.kubernetes.io/component": "observability"}, 23},
		{labels{"serving.knative.dev/release": "v1.2.5"}, 2},
		{labels{"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": "devel"}, 0},
		{labels{"app.kubernetes.io/name": "our-platform", "app.kubernetes.io/version": "1.2.0"}, 0}, // a chart's own version
		{labels{"app.kubernetes.io/version": "1.2.0"}, 0},
	} {
		if got := ReleaseOf(c.labels); got != c.want {
			t.Errorf("%v: %v, want %v", c.labels, got, c.want)
		}
	}
}

// Where the meaning changed (docs/knative.md, "Releases").
func TestReleases(t *testing.T) {
	for y := Release(1); y < 40; y++ {
		if y.ActivatorTimeouts() != (y >= 8) || y.MetricsByDefault() != (y < 19) || y.InternalEncryption() != (y < 12) {
			t.Errorf("%v: %t, %t, %t", y, y.ActivatorTimeouts(), y.MetricsByDefault(), y.InternalEncryption())
		}
	}
	if r := Release(0); !r.ActivatorTimeouts() || r.MetricsByDefault() || r.InternalEncryption() || r.String() != "not known" {
		t.Error("one that isn't known is not like today's")
	}
}
