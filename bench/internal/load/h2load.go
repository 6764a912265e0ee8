package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// H2load keeps r.Streams requests in flight on each of r.Connections for r.Duration.
func H2load(ctx context.Context, r Run) (Result, error) {
	log := filepath.Join(r.Dir, "h2load.log")
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Result{}, err // h2load would append to the log
	}
	args, size, err := r.h2load(log)
	if err != nil {
		return Result{}, err
	}
	out, err := output(ctx, "h2load", args...)
	if err != nil {
		return Result{}, err
	}
	result, err := parseH2load(out, size)
	if err != nil {
		return Result{}, err
	}
	f, err := os.Open(log)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = f.Close() }()
	latencies, err := parseH2loadLog(f)
	if err != nil {
		return Result{}, err
	}
	result.Elapsed = r.Duration
	return result.summary(latencies), nil
}

// h2load returns h2load's arguments and the size of each answer.
func (r Run) h2load(log string) (args []string, size int, err error) {
	args = []string{
		"-t1", "-c" + strconv.Itoa(r.Connections), "-m" + strconv.Itoa(r.Streams),
		"-D", strconv.FormatInt(r.Duration.Milliseconds(), 10) + "ms", "--log-file=" + log, "-H", ":authority: " + Host,
	}
	for _, line := range r.Target.Header {
		args = append(args, "-H", line)
	}
	size = len(origin.Hello)
	if r.Target.Protocol == GRPC {
		size = len(message)
		data := filepath.Join(r.Dir, "h2load.data")
		if err := os.WriteFile(data, message, 0o600); err != nil {
			return nil, 0, err
		}
		args = append(args, "-d", data, "-H", "content-type: "+origin.GRPC, "-H", "te: trailers")
	}
	return append(args, r.Target.url()), size, nil
}

var (
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadStatuses = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	h2loadData     = regexp.MustCompile(`\) headers [^\n]*, [^\n]* \((\d+)\) data`)
)

// parseH2load parses the report. size is that of the app's answer: a proxy's own answer to a gRPC call is 200 without a body.
func parseH2load(out string, size int) (Result, error) {
	n, ok1 := numbers(h2loadRequests, out)
	s, ok2 := numbers(h2loadStatuses, out)
	data, ok3 := numbers(h2loadData, out)
	if !ok1 || !ok2 || !ok3 {
		return Result{}, fmt.Errorf("h2load's output is not a report: %.200s", out)
	}
	done, succeeded, bad := n[0], n[1], n[2]+n[3]+n[4]
	if done != succeeded || bad > 0 || s[1]+s[2]+s[3] > 0 {
		return Result{}, fmt.Errorf("of %d requests %d failed, %d without an answer; statuses: %d 3xx, %d 4xx, %d 5xx", done+n[3], n[2], n[3], s[1], s[2], s[3])
	}
	if done == 0 {
		return Result{}, errors.New("no request was answered")
	}
	if data[0] < done*size {
		return Result{}, fmt.Errorf("%d answers had only %d bytes, %d of them without a body or more", done, data[0], done-data[0]/size)
	}
	return Result{Requests: done}, nil
}

func numbers(re *regexp.Regexp, text string) (all []int, ok bool) {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	for _, digits := range m[1:] {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

// parseH2loadLog parses lines that each have the start in microseconds since 1970, status, and duration in microseconds.
func parseH2loadLog(r io.Reader) ([]time.Duration, error) {
	var all []time.Duration
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) < 3 {
			return nil, fmt.Errorf("a line of h2load's log is %q", lines.Text())
		}
		n, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a line of h2load's log: %w", err)
		}
		if fields[1] != "200" {
			return nil, fmt.Errorf("status %s", fields[1])
		}
		all = append(all, micros(n))
	}
	return all, lines.Err()
}
