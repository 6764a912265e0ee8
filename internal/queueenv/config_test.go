package queueenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy"
)

func TestWhetherToAnnounce(t *testing.T) {
	token := filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(token, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		vars map[string]string
		want queueproxy.Announce
		bad  string
	}{
		{name: "no token mounted", vars: map[string]string{"SYSTEM_NAMESPACE": "knative-serving"}},
		{name: "Knative's own Service", vars: map[string]string{
			"SYSTEM_NAMESPACE": "knative-serving", "CLUSTER_DOMAIN": "corp.test", "SLUICE_ANNOUNCE_TOKEN": token,
		}, want: queueproxy.Announce{Activators: "activator-service.knative-serving.svc.corp.test.:80", TokenFile: token}},
		{name: "another place", vars: map[string]string{"SLUICE_ANNOUNCE_TO": "127.0.0.1:8012", "SLUICE_ANNOUNCE_TOKEN": token}, want: queueproxy.Announce{Activators: "127.0.0.1:8012", TokenFile: token}},
		{name: "off", vars: map[string]string{"SYSTEM_NAMESPACE": "knative-serving", "SLUICE_ANNOUNCE_TO": "off", "SLUICE_ANNOUNCE_TOKEN": token}},
		{name: "no address", vars: map[string]string{"SLUICE_ANNOUNCE_TO": "activator"}, bad: "SLUICE_ANNOUNCE_TO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &program.Environment{Lookup: func(name string) (string, bool) { v, ok := c.vars[name]; return v, ok }}
			got := announceFrom(e)
			if c.bad != "" {
				if len(e.Bad) != 1 || !strings.Contains(e.Bad[0].Error(), c.bad) {
					t.Errorf("%v", e.Bad)
				}
				return
			}
			if got != c.want || len(e.Bad) > 0 {
				t.Errorf("%+v, %v", got, e.Bad)
			}
		})
	}
}
