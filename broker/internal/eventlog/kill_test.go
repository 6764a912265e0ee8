package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/orphans"
)

var kills = flag.Int("kills", 0, "how many times TestKilled kills a process; as many as fit in 10 s if 0")

const victimDir = "EVENTLOG_VICTIM"

// payload is a record that shows whether it is one that the victim has made.
func payload(run, n, size int) []byte {
	b := fmt.Appendf(nil, "%d.%d:", run, n)
	b = append(b, bytes.Repeat([]byte{byte(n)}, size)...)
	return fmt.Appendf(b, ":%08x", crc32.ChecksumIEEE(b))
}

func genuine(b []byte) (id string, ok bool) {
	i := bytes.LastIndexByte(b, ':')
	if i < 0 || string(b[i+1:]) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(b[:i])) {
		return "", false
	}
	id, _, ok = strings.Cut(string(b), ":")
	return id, ok
}

// victim appends until it is killed, and writes the number and the id of each record that was acknowledged.
func victim(dir string) error {
	l, r, err := Open(dir, killConfig)
	if err != nil {
		return err
	}
	if r.Corrupt > 0 {
		return fmt.Errorf("corrupt: %+v", r)
	}
	run := os.Getpid()
	var group sync.WaitGroup
	for caller := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				n := 2*i*8 + 2*caller
				batch := [][]byte{payload(run, n, rand.IntN(3000)), payload(run, n+1, rand.IntN(100))}
				first, err := l.Append(context.Background(), batch...)
				if err != nil {
					fmt.Println(err)
					return
				}
				// One write of less than PIPE_BUF: it is whole, or not there.
				fmt.Printf("%d %d.%d\n%d %d.%d\n", first, run, n, first+1, run, n+1)
			}
		})
	}
	group.Wait()
	return nil
}

var killConfig = Config{SegmentBytes: 256 << 10}

// What was acknowledged before a kill is there afterwards, and nothing is there that wasn't appended, or twice, or half of a batch.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	deadline := time.Now().Add(10 * time.Second)
	seen := map[string]uint64{} // what earlier runs have left
	from := uint64(1)
	n := 0
	for ; *kills > 0 && n < *kills || *kills == 0 && time.Now().Before(deadline); n++ {
		acknowledged := runVictim(t, dir)
		l, r := mustOpen(t, dir, killConfig)
		if r.Corrupt+r.Torn > 0 {
			t.Fatalf("Recovery = %+v", r)
		}
		reader := l.Reader(from)
		for {
			seq, record, err := reader.Next()
			if errors.Is(err, ErrNotYet) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			id, ok := genuine(record)
			if !ok || seq != from {
				t.Fatalf("record %d is %q; %d should come", seq, record, from)
			}
			if before, twice := seen[id]; twice {
				t.Fatalf("%s is there as %d and %d", id, before, seq)
			}
			if want, ok := acknowledged[seq]; ok && want != id {
				t.Fatalf("record %d is %s, %s was acknowledged", seq, id, want)
			}
			delete(acknowledged, seq)
			seen[id] = seq
			from++
		}
		if len(acknowledged) > 0 {
			t.Fatalf("%d acknowledged records were lost, the log ends at %d: %v", len(acknowledged), from, acknowledged)
		}
		if len(seen)%2 != 0 {
			t.Fatal("half of a batch is there")
		}
		l.TrimTo(from)
		mustClose(t, l)
	}
	t.Logf("%d kills, %d records", n, len(seen))
	if n < 3 || len(seen) == 0 {
		t.Errorf("%d kills, %d records: too few to show anything", n, len(seen))
	}
}

// runVictim runs a victim, kills it, and returns what it had acknowledged.
func runVictim(t *testing.T, dir string) map[uint64]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	release, err := orphans.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	acknowledged := map[uint64]string{}
	lines := bufio.NewScanner(out)
	kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer kill.Stop()
	for lines.Scan() {
		var seq uint64
		var id string
		if n, err := fmt.Sscanf(lines.Text(), "%d %s", &seq, &id); n != 2 || err != nil {
			t.Fatalf("the victim says %q", lines.Text())
		}
		if len(acknowledged) == 0 {
			kill.Reset(time.Duration(rand.IntN(int(20 * time.Millisecond))))
		}
		acknowledged[seq] = id
	}
	cmd.Wait()
	return acknowledged
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, dir, Config{})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.CombinedOutput()
	want := fmt.Sprintf("the log is in use: process %d has the log in %s open: end it, or use another directory", os.Getpid(), dir)
	if err == nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("the other process says %q, %v, want %q", out, err, want)
	}
	if _, _, err := Open(dir, Config{}); !errors.Is(err, ErrLocked) {
		t.Errorf("Open in the same process: %v", err)
	}
	mustClose(t, l)
	l, _ = mustOpen(t, dir, Config{})
	mustClose(t, l)
}
