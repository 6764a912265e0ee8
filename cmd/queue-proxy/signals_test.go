package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Each signal that asks the process to end makes it drain: requests in flight are answered, and so are those that come
// before all clients know. (SIGHUP used to end it at once: 40 to 60 of 60 requests were lost.)
func TestF9SignalsDrain(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) { t.Parallel(); drainsAt(t, sig) })
	}
}

func drainsAt(t *testing.T, sig syscall.Signal) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond) // so that some are always in flight
		_, _ = io.WriteString(w, "ok")
	}))
	defer app.Close()
	_, appPort, _ := net.SplitHostPort(app.Listener.Addr().String())
	ports := freePorts(t, 3)
	cmd, out := start(t, environment(appPort, ports, "CONTAINER_CONCURRENCY=0", "REVISION_TIMEOUT_SECONDS=300",
		"SLUICE_DRAIN_QUIET=100s", "SLUICE_DRAIN_IDLE=100ms"))
	url := "http://127.0.0.1:" + ports[0]
	ask := func(agent string) (status int, last bool, err error) {
		client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
		defer client.CloseIdleConnections()
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return 0, false, err
		}
		req.Header.Set("User-Agent", agent)
		resp, err := client.Do(req)
		if err != nil {
			return 0, false, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, resp.Close, err
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, _, err := ask("kube-probe/1.35"); err == nil { // a prober, which the drain waits for
			break
		} else if time.Since(begin) > 30*time.Second {
			t.Fatalf("it does not come up: %v\n%s", err, out)
		}
	}

	var served, clients sync.WaitGroup
	for range 60 {
		served.Add(1)
		first := sync.OnceFunc(served.Done)
		clients.Go(func() {
			defer first()
			for after := 0; after < 3; first() { // requests after the first response that announces the end of the pod
				status, last, err := ask("test")
				if err != nil || status != http.StatusOK {
					t.Errorf("lost: %d %v", status, err)
					return
				}
				if last {
					after++
				}
			}
		})
	}
	served.Wait()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if status, _, err := ask("kube-probe/1.35"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("the kubelet gets %d %v", status, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after %v: %v\n%s", sig, err, out)
	}
}
