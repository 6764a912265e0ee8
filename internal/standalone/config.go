package standalone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/containers"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// Config of a Server. The zero value of a field is the default that it documents.
type Config struct {
	// Files are manifests, directories of manifests, or manifest.Stdin for the contents of Stdin. Sample are Files to serve
	// without any, while the API has no Service from before. One of Files, Sample and API is required.
	Files, Sample []string
	Stdin         []byte
	// Host is the IP address of the ingress, by default 127.0.0.1; Port is its port, by default a free one.
	Host string
	Port int
	// ReplicaPorts are the ports of the processes of replicas, four each; by default 20000-29999.
	ReplicaPorts replica.PortRange
	// MaxReplicas limits the replicas of each service; by default 20.
	MaxReplicas int
	// Scaling has the autoscaler's settings; by default autoscaler.Standard.
	Scaling *autoscaler.Defaults
	// ClusterNames has apps reach each other by the names that they would have in a cluster, where their HTTP client uses a
	// proxy. Without it this is done for templates with the annotation sluice.dev/cluster-names: "true".
	ClusterNames bool
	// Images has the command for each image reference. The images of the built-in samples need none.
	Images map[string][]string
	// Runtime is which container engine may run the images without a command; by default containers.Auto.
	Runtime containers.Choice
	// Limits of what clients may send and brokers keep; by default limits.OfProcess. Queue-proxies have those of Limits.Behind.
	Limits *limits.Limits
	// Observability says where spans go, those of queue-proxies included. The zero value: nowhere. The rest of it has no effect.
	Observability observability.Config
	// Screen shows the services and their events. Required.
	Screen *screen.Screen
	// API, if not nil, serves the Kubernetes API.
	API *API
	// Log gets what the screen doesn't show. Nil: it is discarded.
	Log *zap.Logger

	canRebind func() error // replica.CanRebind, except in tests
}

// Defaults of Config, and constants.
const (
	DefaultHost        = "127.0.0.1"
	DefaultPort        = 8080 // of the command
	DefaultMaxReplicas = 20

	// replicaHost is the address of all replicas: macOS configures no other address of 127.0.0.0/8.
	replicaHost = "127.0.0.1"

	// appGrace is how long an app may take to end after SIGTERM, which it gets when its requests have ended.
	appGrace = 10 * time.Second
	// endGrace bounds the shutdown of the quickstart: first requests in flight, then replicas, get this long.
	endGrace = 3 * time.Second
)

// DefaultReplicaPorts lie below the ephemeral ports of Linux and macOS.
var DefaultReplicaPorts = replica.PortRange{Low: 20000, High: 29999}

// withDefaults replaces zero values by the defaults.
func (c Config) withDefaults() Config {
	if c.Host == "" {
		c.Host = DefaultHost
	}
	if c.ReplicaPorts == (replica.PortRange{}) {
		c.ReplicaPorts = DefaultReplicaPorts
	}
	if c.MaxReplicas == 0 {
		c.MaxReplicas = DefaultMaxReplicas
	}
	if c.Scaling == nil {
		d := autoscaler.Standard()
		c.Scaling = &d
	}
	if c.Limits == nil {
		l := limits.OfProcess()
		c.Limits = &l
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.canRebind == nil {
		c.canRebind = replica.CanRebind
	}
	return c
}

// Validate returns an error for each invalid field, which names the quickstart's flag.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if len(c.Files) == 0 && len(c.Sample) == 0 && c.API == nil {
		errs = append(errs, errors.New("-f names no manifest"))
	}
	if c.Screen == nil {
		errs = append(errs, errors.New("standalone: Config.Screen is nil"))
	}
	if _, err := netip.ParseAddr(c.Host); err != nil {
		errs = append(errs, fmt.Errorf("-listen should be an IP address, is %q", c.Host))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("-port should be from 1 to 65535, or 0 for a free one, is %d", c.Port))
	}
	if c.MaxReplicas < 1 {
		errs = append(errs, fmt.Errorf("-max-replicas should be at least 1, is %d", c.MaxReplicas))
	}
	if c.API != nil && (c.API.Port < 0 || c.API.Port > 65535) {
		errs = append(errs, fmt.Errorf("-api-port should be from 1 to 65535, or 0 for a free one, is %d", c.API.Port))
	}
	events := brokerConfig(*c.Limits)
	events.Dir = "." // which isn't known yet
	if err := events.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("-max-event-bytes: %w", err))
	}
	return errors.Join(append(errs, c.Scaling.Validate())...)
}

// input returns the sources of the manifests.
func (c Config) input() manifest.Input { return manifest.Input{Paths: c.Files, Stdin: c.Stdin} }

// addr returns the address of the ingress.
func (c Config) addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// domain returns the suffix of the services' host names, which resolve to the address of the ingress: sslip.io resolves
// a name that contains an IP address (with dashes for colons) to that address, and names in localhost resolve to the
// loopback addresses of IPv4 and IPv6 (RFC 6761 §6.3).
func (c Config) domain() string {
	ip, err := netip.ParseAddr(c.Host)
	switch ip = ip.Unmap(); {
	case err != nil || ip.IsUnspecified():
		return DefaultHost + ".sslip.io"
	case ip.Is4():
		return ip.String() + ".sslip.io"
	case ip.IsLoopback():
		return "localhost"
	}
	return strings.ReplaceAll(ip.WithZone("").StringExpanded(), ":", "-") + ".sslip.io" // a label doesn't begin with a dash
}

// shownDomain returns the suffix of the host names that the screen shows: localhost, which needs no DNS, if it leads to the
// ingress.
func (c Config) shownDomain() string {
	ip, err := netip.ParseAddr(c.Host)
	if ip = ip.Unmap(); err != nil || ip.IsUnspecified() || ip == netip.IPv6Loopback() || ip.String() == DefaultHost {
		return "localhost"
	}
	return c.domain()
}

// images returns Images and the built-in samples.
func (c Config) images() map[string][]string {
	all := map[string][]string{}
	for name, refs := range samples() {
		for _, ref := range refs {
			all[ref] = []string{name}
		}
	}
	for ref, argv := range c.Images {
		all[ref] = argv
	}
	return all
}

// inUse adds the address and advice to an error of listening.
func (c Config) inUse(err error) error {
	if runtime.GOOS == "windows" {
		return err
	}
	return fmt.Errorf("can't listen on %s: %w: choose another port with -port", c.addr(), errors.Unwrap(err))
}
