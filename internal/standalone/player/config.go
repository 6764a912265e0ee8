package player

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// config is what the environment says.
type config struct {
	broker     string            // URL that gets the events
	extensions map[string]string // attributes for each of them
	instance   string            // name of this replica
	reply      string            // type of the event that answers each received one; "": none does
}

// configOf reads the variables of the original player, those that a SinkBinding sets, and PLAYER_REPLY. own is the URL of this server.
// https://github.com/ruromero/cloudevents-player, https://knative.dev/docs/eventing/custom-event-source/sinkbinding
func configOf(env func(string) string, own string) (config, error) {
	c := config{instance: env("HOSTNAME"), reply: env("PLAYER_REPLY")}
	var err error
	if c.broker, err = brokerOf(env, own); err != nil {
		return config{}, err
	}
	if text := env(knative.EnvOverrides); text != "" {
		var overrides struct{ Extensions map[string]string }
		if err := json.Unmarshal([]byte(text), &overrides); err != nil {
			return config{}, fmt.Errorf(`%s should be like {"extensions":{"name":"value"}}: %w`, knative.EnvOverrides, err)
		}
		c.extensions = overrides.Extensions
	}
	return c, nil
}

// brokerOf returns the URL to send to.
func brokerOf(env func(string) string, own string) (string, error) {
	switch mode := env("PLAYER_MODE"); strings.ToUpper(mode) {
	case "LOCAL":
		return own, nil
	case "", "KNATIVE":
	default:
		return "", fmt.Errorf("PLAYER_MODE should be KNATIVE or LOCAL, is %q", mode)
	}
	for _, name := range []string{"BROKER_URL", "BROKER_URI", knative.EnvSink} {
		value := env(name)
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "", fmt.Errorf("%s should be an http:// or https:// URL, is %q", name, value)
		}
		return value, nil
	}
	namespace, name := cmp.Or(env("BROKER_NAMESPACE"), "default"), cmp.Or(env("PLAYER_BROKER"), env("BROKER_NAME"), "default")
	return knative.BrokerURL(url.PathEscape(namespace), url.PathEscape(name)), nil
}
