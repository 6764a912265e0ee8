package knative_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

func TestAnnouncementIsReadAsItWasWritten(t *testing.T) {
	want := knative.Announcement{
		Namespace: "default", Revision: "hello-00001", Addr: netip.MustParseAddrPort("[fd00::7]:8012"), Token: "a.b.c",
	}
	var wire bytes.Buffer
	if err := want.Write(&wire, "activator.example:80"); err != nil {
		t.Fatal(err)
	}
	req, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != http.MethodPost || req.Host != "activator.example:80" || req.Header.Get("K-Network-Probe") != "pod" || !req.Close {
		t.Errorf("%+v", req)
	}
	got, err := knative.ParseAnnouncement(req.Header.Get)
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseAnnouncementRefuses(t *testing.T) {
	good := map[string]string{
		"Knative-Serving-Namespace": "default", "Knative-Serving-Revision": "hello-00001",
		"Sluice-Pod-Addr": "10.0.0.7:8012", "Authorization": "Bearer secret",
	}
	for name, bad := range map[string][]string{
		"Knative-Serving-Namespace": {""},
		"Knative-Serving-Revision":  {""},
		"Sluice-Pod-Addr":           {"", "10.0.0.7", "pod:8012", "10.0.0.7:0", "10.0.0.7:99999"},
		"Authorization":             {"", "secret", "Basic secret", "Bearer "},
	} {
		for _, v := range bad {
			_, err := knative.ParseAnnouncement(func(field string) string {
				if field == name {
					return v
				}
				return good[field]
			})
			if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "Knative-Serving-")) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s %q: %v", name, v, err)
			}
		}
	}
	if _, err := knative.ParseAnnouncement(func(field string) string { return good[field] }); err != nil {
		t.Error(err)
	}
}
