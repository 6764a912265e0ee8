package queueproxy

import (
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	good := Config{UserAddr: "127.0.0.1:8080"}
	if err := good.Validate(); err != nil {
		t.Errorf("the zero value with an app: %v", err)
	}
	for field, edit := range map[string]func(*Config){
		"UserAddr":             func(c *Config) { c.UserAddr = "" },
		"Addrs.Serve":          func(c *Config) { c.Addrs.Serve = "8012" },
		"Addrs.Stats":          func(c *Config) { c.Addrs.Stats = ":http" },
		"ContainerConcurrency": func(c *Config) { c.ContainerConcurrency = -1 },
		"QueueDepth":           func(c *Config) { c.QueueDepth = -1 },
		"QueueDeadline":        func(c *Config) { c.QueueDeadline = -1 },
		"Timeouts.Total":       func(c *Config) { c.Timeouts.Total = -1 },
		"DrainIdle":            func(c *Config) { c.DrainIdle = -1 },
		"RequestMetrics":       func(c *Config) { c.RequestMetrics = 9 },
		"Probes[0]":            func(c *Config) { c.Probes = []Probe{{Kind: ProbeTCP, Addr: "x"}} },
	} {
		c := good
		edit(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "Config."+field+" ") && !strings.Contains(err.Error(), "Config."+field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestTenWaitForEachSlot(t *testing.T) {
	c := Config{ContainerConcurrency: 10}.withDefaults()
	if c.QueueDepth != 100 {
		t.Errorf("%d may wait", c.QueueDepth)
	}
}
