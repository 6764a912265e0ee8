package otlp

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// collector is a real one as far as the wire goes, over net/http and gRPC's own server. The requests of OTLP's services
// have the same one field as MetricsData and TracesData; their own Go packages would bring a gateway along.
type collector struct {
	metrics chan *metricspb.MetricsData
	traces  chan *tracepb.TracesData
	headers chan http.Header
	// answerHTTP says whether to go on, answerGRPC with which error not to. Nil: always.
	answerHTTP func(w http.ResponseWriter) bool
	answerGRPC func(ctx context.Context) error
	rejected   int64
}

func newCollector() *collector {
	return &collector{
		metrics: make(chan *metricspb.MetricsData, 100),
		traces:  make(chan *tracepb.TracesData, 100),
		headers: make(chan http.Header, 100),
	}
}

// take decodes a request and makes the answer.
func (c *collector) take(request []byte, traces bool) ([]byte, error) {
	if traces {
		var m tracepb.TracesData
		if err := proto.Unmarshal(request, &m); err != nil {
			return nil, err
		}
		c.traces <- &m
	} else {
		var m metricspb.MetricsData
		if err := proto.Unmarshal(request, &m); err != nil {
			return nil, err
		}
		c.metrics <- &m
	}
	if c.rejected == 0 {
		return nil, nil
	}
	var rejected []byte
	rejected = protowire.AppendTag(rejected, 1, protowire.VarintType)
	rejected = protowire.AppendVarint(rejected, uint64(c.rejected))
	return message(nil).bytes(1, message(rejected).bytes(2, []byte("too\nold"))), nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	c.headers <- r.Header
	if c.answerHTTP != nil && !c.answerHTTP(w) {
		return
	}
	if r.URL.Path != "/v1/metrics" && r.URL.Path != "/v1/traces" {
		http.NotFound(w, r)
		return
	}
	reply, err := c.take(b, r.URL.Path == "/v1/traces")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(reply)
}

// raw is gRPC's codec of messages that are encoded already.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (c *collector) service(name string, traces bool) *grpc.ServiceDesc {
	export := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		md, _ := metadata.FromIncomingContext(ctx)
		c.headers <- http.Header(md)
		if c.answerGRPC != nil {
			if err := c.answerGRPC(ctx); err != nil {
				return nil, err
			}
		}
		reply, err := c.take(request, traces)
		return &reply, err
	}
	return &grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}}}
}

// overHTTP and overGRPC serve c and return its URL; inside TLS with the file that has the root.
func (c *collector) overHTTP(t *testing.T, inTLS bool) (url, caFile string) {
	s := httptest.NewUnstartedServer(c)
	if inTLS {
		s.EnableHTTP2 = true
		s.StartTLS()
		caFile = writeRoot(t, s)
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.URL, caFile
}

func (c *collector) overGRPC(t *testing.T, inTLS bool) (url, caFile string) {
	options := []grpc.ServerOption{grpc.ForceServerCodecV2(raw{})}
	url = "http://"
	if inTLS {
		s := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
		t.Cleanup(s.Close)
		caFile, url = writeRoot(t, s), "https://"
		options = append(options, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: s.TLS.Certificates})))
	}
	s := grpc.NewServer(options...)
	s.RegisterService(c.service("opentelemetry.proto.collector.metrics.v1.MetricsService", false), c)
	s.RegisterService(c.service("opentelemetry.proto.collector.trace.v1.TraceService", true), c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return url + l.Addr().String(), caFile
}

func writeRoot(t *testing.T, s *httptest.Server) string {
	name := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func take[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing has come to the collector")
		panic("unreachable")
	}
}
