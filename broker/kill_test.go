package broker

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var kills = flag.Int("broker.kills", 5, "how many times TestPeers42KilledUnderLoad kills the broker")

// The environment of a process of this test binary that is a broker.
const (
	childDir  = "SLUICE_TEST_BROKER_DIR"
	childSink = "SLUICE_TEST_BROKER_SINK"
)

// child runs a broker until its standard input ends.
func child() error {
	s, err := Open(Config{Dir: os.Getenv(childDir), MaxEventBytes: 1000, MaxLogBytes: 16 << 20}) // several segments
	if err != nil {
		return err
	}
	if err := s.SetBroker(Broker{ID: brokerID}); err != nil {
		return err
	}
	delivery := Delivery{Retry: 1000, Delay: time.Millisecond, Backoff: Linear}
	if err := s.SetTrigger(Trigger{ID: ID{"default", "keyed"}, Broker: brokerID.Name, Key: "subject", Subscriber: os.Getenv(childSink) + "/keyed", Delivery: &delivery}); err != nil {
		return err
	}
	if err := s.SetTrigger(Trigger{ID: ID{"default", "plain"}, Broker: brokerID.Name, Subscriber: os.Getenv(childSink) + "/plain", Delivery: &delivery}); err != nil {
		return err
	}
	if err := s.DeleteUnset(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go http.Serve(l, s)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

type process struct {
	cmd  *exec.Cmd
	addr string
	in   io.Closer
}

func startChild(t *testing.T, dir, sink string) process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSink+"="+sink)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return process{cmd, strings.TrimSpace(addr), in}
}

func (p process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.in.Close()
}

// A broker that is killed again and again while events come and sinks fail delivers every event that it has acknowledged, those of a key in
// order, one at a time.
func TestPeers42KilledUnderLoad(t *testing.T) {
	dir := t.TempDir()
	keyed, plain := newOrder(), newOrder()
	var busy atomic.Int64
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		busy.Add(1)
		defer busy.Add(-1)
		o := plain
		if r.URL.Path == "/keyed" {
			o = keyed
		}
		o.begin(d.id())
		if rand.IntN(10) == 0 {
			time.Sleep(time.Millisecond)
		}
		taken := rand.IntN(10) > 0
		if o.end(d.id(), taken); !taken {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var addr atomic.Pointer[string]
	p := startChild(t, dir, sink.URL)
	first := p.addr
	addr.Store(&first)

	var acknowledged atomic.Int64
	last := make([]int, 32) // by key: the last event that was acknowledged
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var senders sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	for k := range last {
		senders.Go(func() {
			for n := 1; ctx.Err() == nil; {
				if sendTo(client, *addr.Load(), fmt.Sprintf("k%d", k), n) {
					last[k] = n
					acknowledged.Add(1)
					n++
				} else {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for i := range *kills {
		before := acknowledged.Load()
		eventually(t, "events are acknowledged", func() bool { return acknowledged.Load() > before+100 })
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		p.kill()
		// What the sink is still doing for the killed process is the exception of the package's comment.
		eventually(t, "the sink is idle", func() bool { return busy.Load() == 0 })
		p = startChild(t, dir, sink.URL)
		now := p.addr
		addr.Store(&now)
		t.Logf("kill %d: %d events were acknowledged", i+1, acknowledged.Load())
	}
	stop()
	senders.Wait()
	for k, n := range last {
		for ; n > 0; n-- {
			id := fmt.Sprintf("k%d-%d", k, n)
			eventually(t, id+" is delivered", func() bool { return keyed.taken(id) && plain.taken(id) })
		}
	}
	p.kill()
	keyed.check(t)
}

// sendTo sends an event and tells whether it was acknowledged.
func sendTo(client *http.Client, addr, key string, n int) bool {
	r, err := http.NewRequest(http.MethodPost, "http://"+addr+"/default/example-broker", strings.NewReader("data"))
	if err != nil {
		return false
	}
	r.Header = http.Header{
		"Ce-Id": {fmt.Sprintf("%s-%d", key, n)}, "Ce-Source": {"test"}, "Ce-Type": {"test"}, "Ce-Specversion": {"1.0"}, "Ce-Subject": {key},
	}
	response, err := client.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode == http.StatusAccepted
}
