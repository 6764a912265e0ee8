package player

import (
	"maps"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	const own, host = "http://127.0.0.1:1/", "http://broker-ingress.knative-eventing.svc.cluster.local/"
	for _, test := range []struct {
		env    map[string]string
		broker string // or a part of the error
	}{
		{nil, host + "default/default"},
		{map[string]string{"PLAYER_MODE": "KNATIVE", "PLAYER_BROKER": "example-broker"}, host + "default/example-broker"},
		{map[string]string{"BROKER_NAME": "b", "BROKER_NAMESPACE": "shop"}, host + "shop/b"},
		{map[string]string{"PLAYER_BROKER": "a/../b?"}, host + "default/a%2F..%2Fb%3F"},
		{map[string]string{"BROKER_URL": host + "default/example-broker", "PLAYER_BROKER": "x"}, host + "default/example-broker"},
		{map[string]string{"BROKER_URI": "https://b:1/x"}, "https://b:1/x"},
		{map[string]string{"K_SINK": "http://sink/", "PLAYER_BROKER": "x"}, "http://sink/"},
		{map[string]string{"BROKER_URL": "http://url/", "K_SINK": "http://sink/"}, "http://url/"},
		{map[string]string{"PLAYER_MODE": "local", "BROKER_URL": "http://url/"}, own},
		{map[string]string{"PLAYER_MODE": "kafka"}, `PLAYER_MODE should be KNATIVE or LOCAL, is "kafka"`},
		{map[string]string{"BROKER_URL": "broker:80"}, `BROKER_URL should be an http:// or https:// URL, is "broker:80"`},
		{map[string]string{"K_SINK": "http://"}, `K_SINK should be an http://`},
		{map[string]string{"K_CE_OVERRIDES": "{"}, "K_CE_OVERRIDES should be like"},
	} {
		c, err := configOf(func(name string) string { return test.env[name] }, own)
		if err != nil {
			c.broker = err.Error()
		}
		if c.broker != test.broker && (err == nil || !strings.Contains(c.broker, test.broker)) {
			t.Errorf("%v: %s, want %s", test.env, c.broker, test.broker)
		}
	}
	c, err := configOf(func(name string) string {
		return map[string]string{"HOSTNAME": "pod-1", "PLAYER_REPLY": "seen", "K_CE_OVERRIDES": `{"extensions":{"team":"x"}}`}[name]
	}, own)
	if err != nil || c.instance != "pod-1" || c.reply != "seen" || !maps.Equal(c.extensions, map[string]string{"team": "x"}) {
		t.Errorf("%+v, %v", c, err)
	}
}
