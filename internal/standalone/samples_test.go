package standalone

import (
	"net/http"
	"strings"
	"testing"
)

// playerService is a manifest of the built-in player, as Knative's tutorial has it, with a variable.
func playerService(image, variable, value string) string {
	s := strings.Replace(service("cloudevents-player", "", value, ""), "ghcr.io/knative/helloworld-go:latest", image, 1)
	return strings.Replace(s, "TARGET", variable, 1)
}

// The player sends to a name of a cluster without any setting, and says what its replica has got.
func TestPlayerReachesTheNamesOfACluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, playerService("ruromero/cloudevents-player:latest", "BROKER_URL", "'http://cloudevents-player.default.svc.cluster.local/'")).start()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.url("cloudevents-player", "default")+"/messages", strings.NewReader(`"x"`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t", "Content-Type": "application/json"} {
		req.Header.Set(name, value)
	}
	resp, err := w.resolving().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if text := bodyOf(t, resp); resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status, text)
	}
	page, err := w.get("cloudevents-player")
	if err != nil || !strings.Contains(page, `<li class="sent">`) || !strings.Contains(page, `<li class="received">`) || !strings.Contains(page, "by cloudevents-player-00001-") {
		t.Error(page, err)
	}
}

// A player that has the name of its broker only finds it in its own namespace.
func TestPlayerFindsItsBroker(t *testing.T) {
	t.Parallel()
	manifest := strings.Replace(playerService("quay.io/ruben/cloudevents-player:v1.3", "PLAYER_BROKER", "example-broker"),
		"name: cloudevents-player}", "name: cloudevents-player, namespace: shop}", 1)
	w := newWorld(t, manifest).start()
	resp, err := w.resolving().Get(w.server.url("cloudevents-player", "shop"))
	if err != nil {
		t.Fatal(err)
	}
	if page := bodyOf(t, resp); !strings.Contains(page, "to http://broker-ingress.knative-eventing.svc.cluster.local/shop/example-broker") {
		t.Error(page)
	}
}
