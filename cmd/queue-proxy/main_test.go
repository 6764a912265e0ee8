package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-proxy/sluice/internal/orphans"
	"github.com/sluice-proxy/sluice/internal/outputs"
)

// binary is the program as it is released, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "queue-proxy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "queue-proxy")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// freePorts finds ports at which no program listens.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// environment has the variables that Knative's controller sets, and ports that no other queue-proxy on the machine uses.
func environment(app string, ports []string, more ...string) []string {
	return append([]string{
		"CONTAINER_CONCURRENCY=2", "QUEUE_SERVING_PORT=" + ports[0], "USER_PORT=" + app, "REVISION_TIMEOUT_SECONDS=10", "REVISION_RESPONSE_START_TIMEOUT_SECONDS=0",
		"SERVING_LOGGING_CONFIG=", "SERVING_LOGGING_LEVEL=", "SERVING_NAMESPACE=default", "SERVING_CONFIGURATION=",
		"SERVING_REVISION=hello-00001", "SERVING_POD=hello-00001-abc", "SERVING_POD_IP=127.0.0.1",
		"SLUICE_BIND_ADDRESS=127.0.0.1", "SLUICE_ADMIN_PORT=" + ports[1], "SLUICE_STATS_PORT=" + ports[2],
		"SLUICE_DRAIN_QUIET=100ms",
	}, more...)
}

func start(t testing.TB, env []string) (*exec.Cmd, *outputs.Buffer) {
	t.Helper()
	return launch(t, exec.Command(binary), env)
}

// launch starts cmd, which is the queue-proxy or executes it.
func launch(t testing.TB, cmd *exec.Cmd, env []string) (*exec.Cmd, *outputs.Buffer) {
	t.Helper()
	out := new(outputs.Buffer)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
	if err := orphans.StartFor(t, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, out
}

// get sends a process one request on a new connection.
func get(t testing.TB, port, path string, fields ...string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// awaitReady probes the process as an activator does until it answers that the app is ready.
func awaitReady(t testing.TB, port string, out *outputs.Buffer) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		status, body, err := get(t, port, "/healthz", "User-Agent", "Knative-Activator-Probe", "K-Network-Probe", "queue")
		if err == nil {
			if status != 200 || body != "queue" {
				t.Fatalf("the probe gets %d %q", status, body)
			}
			return
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("it does not come up: %v\n%s", err, out)
		}
	}
}

func TestProcess(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "Hello "+r.Host)
	}))
	defer app.Close()
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	ports := freePorts(t, 3)
	begin := time.Now()
	cmd, out := start(t, environment(appPort, ports,
		`SERVING_READINESS_PROBE={"httpGet":{"path":"/","port":`+appPort+`},"successThreshold":1}`))

	awaitReady(t, ports[0], out)
	t.Logf("%v from fork to the answer of the first probe", time.Since(begin))
	if status, body, err := get(t, ports[0], "/", "K-Original-Host", "hello.example.com"); status != 200 || body != "Hello hello.example.com" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if status, body, err := get(t, ports[2], "/metrics"); status != 200 || !strings.Contains(body, "hello-00001-abc") {
		t.Errorf("stats: %d %q %v", status, body, err)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, out)
	}
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !strings.HasPrefix(line, `{"severity":"INFO"`) || !strings.Contains(line, `"knative.dev/key":"default/hello-00001"`) {
			t.Errorf("it logs %s", line)
		}
	}
}

// A wrong logging configuration doesn't keep the queue-proxy from serving: missing settings have the defaults of Knative's
// queue-proxy, and those that can't be used are reported in a line of the log.
func TestC3PartialLoggingConfig(t *testing.T) {
	for name, test := range map[string]struct {
		env      []string
		begins   string // each line
		warnings []string
	}{
		"level":            {[]string{`SERVING_LOGGING_CONFIG={"level":"info"}`}, `{"severity":"INFO","timestamp":"`, nil},
		"encoding":         {[]string{`SERVING_LOGGING_CONFIG={"encoding":"json"}`}, `{"severity":"INFO","timestamp":"`, nil},
		"malformed":        {[]string{`SERVING_LOGGING_CONFIG={"level":`}, `{"severity":"`, []string{"SERVING_LOGGING_CONFIG is not the JSON of a zap configuration, the defaults are used: unexpected end of JSON input"}},
		"malformed levels": {[]string{`SERVING_LOGGING_CONFIG={"level":"loud"}`, "SERVING_LOGGING_LEVEL=silent"}, `{"severity":"`, []string{`SERVING_LOGGING_CONFIG is not the JSON of a zap configuration, the defaults are used: unrecognized level: \"loud\"`, `SERVING_LOGGING_LEVEL is \"silent\" and is ignored, expected debug, info, warn or error`}},
		"a file elsewhere": {[]string{`SERVING_LOGGING_CONFIG={"outputPaths":["/none/such/file"]}`}, `{"severity":"`, []string{"SERVING_LOGGING_CONFIG makes no logger, the defaults are used: open sink"}},
	} {
		t.Run(name, func(t *testing.T) {
			ports := freePorts(t, 3)
			cmd, out := start(t, environment("8080", ports, test.env...))
			awaitReady(t, ports[0], out)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("after SIGTERM: %v\n%s", err, out)
			}
			for line := range strings.Lines(out.String()) {
				if !strings.HasPrefix(line, test.begins) {
					t.Errorf("it logs %s", line)
				}
			}
			for _, w := range append(test.warnings, `"message":"listening"`) {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %s in\n%s", w, out)
				}
			}
			if n := strings.Count(out.String(), `"WARNING"`); n != len(test.warnings) {
				t.Errorf("%d warnings:\n%s", n, out)
			}
		})
	}
}

func TestProcessRefusesItsEnvironment(t *testing.T) {
	ports := freePorts(t, 3)
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"missing":   {environment("8080", ports)[1:], "CONTAINER_CONCURRENCY is missing, expected a number of requests, 0 for no limit\n"},
		"malformed": {environment("8080", ports, "USER_PORT=http"), "USER_PORT is \"http\", expected a port number from 1 to 65535\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, out := start(t, test.env)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 || out.String() != test.want {
				t.Errorf("exit %d, %q", code, out)
			}
		})
	}
}

func TestProcessPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, taken, _ := net.SplitHostPort(ln.Addr().String())
	ports := freePorts(t, 3)
	ports[0] = taken
	cmd, out := start(t, environment("8080", ports))
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), taken) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestRunFlags(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, test := range []struct {
		args []string
		ok   bool
		want string
	}{
		{[]string{"-help"}, true, "CONTAINER_CONCURRENCY (required)"},
		{[]string{"--version"}, true, "queue-proxy "},
		{[]string{"-x"}, false, "not defined"},
		{[]string{"serve"}, false, ""},
	} {
		var b bytes.Buffer
		err := run(t.Context(), test.args, none, &b)
		if (err == nil) != test.ok || !strings.Contains(b.String(), test.want) {
			t.Errorf("%v: %v\n%s", test.args, err, &b)
		}
	}
}

// The service image is small and needs no gRPC library.
func TestBinaryHasNoGRPC(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, "google.golang.org/grpc") {
			t.Errorf("it links %s", dep)
		}
	}
}

// Requests are served after the reader of stdout and stderr has gone. (The next line of the request log used to end the
// process.)
func TestProcessOutlivesItsLogs(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	ports := freePorts(t, 3)
	reader, logs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = environment(appPort, ports, "SERVING_ENABLE_REQUEST_LOG=true", "SERVING_LOGGING_LEVEL=debug")
	cmd.Stdout, cmd.Stderr = logs, logs
	err = orphans.StartFor(t, cmd)
	logs.Close()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	served := 0
	for begin := time.Now(); served < 50 && time.Since(begin) < 10*time.Second; {
		resp, err := client.Get("http://127.0.0.1:" + ports[0])
		if err == nil {
			resp.Body.Close()
			served++
		} else if served > 0 {
			t.Errorf("after %d requests: %v", served, err)
			break
		}
	}
	if served == 0 {
		t.Error("it does not serve")
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
