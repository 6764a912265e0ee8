package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The protocols (OTEL_EXPORTER_OTLP_PROTOCOL in OpenTelemetry's specification).
const (
	HTTP = "http/protobuf"
	GRPC = "grpc"
)

// Defaults of Config. The first two are OpenTelemetry's.
const (
	DefaultInterval     = time.Minute
	DefaultTimeout      = 10 * time.Second
	DefaultFlushTimeout = 5 * time.Second
)

// Config says what goes where. Protocol and Endpoint are required, Gatherer for metrics.
type Config struct {
	// Protocol is HTTP or GRPC.
	Protocol string
	// Endpoint is the collector's URL: http:// in the clear (gRPC: HTTP/2 by prior knowledge), https:// inside TLS. For
	// HTTP its path is what is posted to; for GRPC it is ignored.
	Endpoint string
	// Headers are added to each request.
	Headers map[string]string
	// Gzip compresses requests.
	Gzip bool
	// Timeout bounds one attempt. 0: DefaultTimeout.
	Timeout time.Duration
	// CAFile, CertFile and KeyFile are PEM files for https, read by New…. Empty: the system's roots, no certificate.
	CAFile, CertFile, KeyFile string
	// Resource is what the signals belong to, by OpenTelemetry's names, service.name first of all. It wins over
	// target_info.
	Resource map[string]string

	// Gatherer has the metrics, and Interval is the time between two exports of them, 100 ms at least. 0: DefaultInterval.
	Gatherer prometheus.Gatherer
	Interval time.Duration
	// FlushTimeout bounds the last export, after Run's context has ended. 0: DefaultFlushTimeout.
	FlushTimeout time.Duration
	// Failed, if not nil, is called with the error of the first of several exports of metrics that fail in a row, and with nil
	// when one succeeds again. It is called by Run, which waits for it.
	Failed func(error)
}

// Validate reports the first field that can't be used.
func (c Config) Validate() error {
	if c.Protocol != HTTP && c.Protocol != GRPC {
		return fmt.Errorf("otlp: Config.Protocol %q is not %s or %s", c.Protocol, HTTP, GRPC)
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return fmt.Errorf("otlp: Config.Endpoint: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("otlp: Config.Endpoint %q is not http://host or https://host", u.Redacted())
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("otlp: Config.CertFile and Config.KeyFile need each other")
	}
	for _, d := range []time.Duration{c.Timeout, c.Interval, c.FlushTimeout} {
		if d < 0 {
			return fmt.Errorf("otlp: Config has a negative duration: %v", d)
		}
	}
	return nil
}

// tlsConfig is nil when nothing is configured.
func (c Config) tlsConfig() (*tls.Config, error) {
	if c.CAFile == "" && c.CertFile == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("otlp: Config.CAFile: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("otlp: Config.CAFile %s has no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("otlp: Config.CertFile, Config.KeyFile: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
