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
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/hello"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// Config of a Server. The zero value of a field is the default that it documents.
type Config struct {
	// Files are manifests, directories of them, or manifest.Stdin, which stands for what Stdin holds. Required.
	Files []string
	Stdin []byte
	// Host is the IP address to listen on, 127.0.0.1; Port that of the ingress, a free one.
	Host string
	Port int
	// ReplicaPorts are for the processes of replicas, four each; 20000-29999.
	ReplicaPorts replica.PortRange
	// MaxReplicas caps each service; 20.
	MaxReplicas int
	// Scaling are the autoscaler's defaults; autoscaler.Standard.
	Scaling *autoscaler.Defaults
	// Images says how to run images, argv by reference. The hello sample is known anyway.
	Images map[string][]string
	// Limits of what clients may send; limits.Default. Queue-proxies have those behind them.
	Limits *limits.Limits
	// Screen shows what happens. Required.
	Screen *screen.Screen
	// Log is for what users need not see; nil: nobody does.
	Log *zap.Logger
}

// Defaults of Config, and what isn't to be configured.
const (
	DefaultHost        = "127.0.0.1"
	DefaultPort        = 8080 // of the command
	DefaultMaxReplicas = 20

	// replicaHost is where all replicas listen: macOS has no other 127.x.
	replicaHost = "127.0.0.1"

	// appGrace is how long an app may take to end after SIGTERM; its requests are done by then.
	appGrace = 10 * time.Second
	// endGrace bounds the end of the quickstart itself: requests in flight, then replicas, get this long each.
	endGrace = 3 * time.Second
)

// DefaultReplicaPorts lie below the ephemeral ports of Linux and macOS.
var DefaultReplicaPorts = replica.PortRange{Low: 20000, High: 29999}

// withDefaults fills in what zero values stand for.
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
	return c
}

// Validate reports what can't be used, in terms of the quickstart's flags.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if len(c.Files) == 0 {
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
	return errors.Join(append(errs, c.Scaling.Validate())...)
}

// input is where the manifests come from.
func (c Config) input() manifest.Input { return manifest.Input{Paths: c.Files, Stdin: c.Stdin} }

// addr is where the ingress listens.
func (c Config) addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// domain is what URLs end in, so that they lead to where the ingress listens: sslip.io resolves a name that holds an IP
// address to it, colons written as dashes; a name in localhost is the loopback's, of IPv6 too (RFC 6761 §6.3).
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

// images are those of c and the built-in sample.
func (c Config) images() map[string][]string {
	all := map[string][]string{}
	for _, ref := range hello.Images {
		all[ref] = []string{hello.Name}
	}
	for ref, argv := range c.Images {
		all[ref] = argv
	}
	return all
}

// inUse explains an address that can't be listened on.
func (c Config) inUse(err error) error {
	if runtime.GOOS == "windows" {
		return err
	}
	return fmt.Errorf("can't listen on %s: %w: choose another port with -port", c.addr(), errors.Unwrap(err))
}
