package knative_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

func TestParseAffinity(t *testing.T) {
	for _, c := range []struct {
		by, order string
		want      knative.Affinity
		err       string
	}{
		{"", "", knative.Affinity{}, ""},
		{"header=X-Session", "", knative.Affinity{By: knative.ByHeader, Name: "X-Session"}, ""},
		{"cookie=sid", "strict", knative.Affinity{By: knative.ByCookie, Name: "sid", Ordered: true}, ""},
		{"query=user id", "", knative.Affinity{}, `sluice.dev/affinity "query=user id": that is no name of a query`},
		{"query=user", "", knative.Affinity{By: knative.ByQuery, Name: "user"}, ""},
		{"path=2", "", knative.Affinity{By: knative.ByPath, Segment: 2}, ""},
		{"path=0", "", knative.Affinity{}, `sluice.dev/affinity "path=0": N is the number of a segment of the path, from 1`},
		{"path=99999999999999999999", "", knative.Affinity{}, `sluice.dev/affinity "path=99999999999999999999": N is the number of a segment of the path, from 1`},
		{"path=x", "", knative.Affinity{}, `sluice.dev/affinity "path=x": N is the number of a segment of the path, from 1`},
		{"header=", "", knative.Affinity{}, `sluice.dev/affinity "header=": that is no name of a header`},
		{"header", "", knative.Affinity{}, `sluice.dev/affinity "header": that is no name of a header`},
		{"cookie=a;b", "", knative.Affinity{}, `sluice.dev/affinity "cookie=a;b": that is no name of a cookie`},
		{"ip", "", knative.Affinity{}, `sluice.dev/affinity "ip" is not header=FIELD, cookie=NAME, query=NAME or path=N`},
		{"path=1", "loose", knative.Affinity{}, `sluice.dev/affinity-order "loose" is not strict`},
		{"", "strict", knative.Affinity{}, "sluice.dev/affinity-order needs sluice.dev/affinity: header=FIELD, cookie=NAME, query=NAME or path=N"},
	} {
		got, err := knative.ParseAffinity(c.by, c.order)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q, %q: %+v, %v", c.by, c.order, got, err)
		}
	}
}
