package load

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed wrk.lua
var wrkScript []byte

// Wrk keeps connections busy with GET requests for r.Duration, rounded up to the whole seconds that wrk supports. A wait of up
// to 30 s for an answer is no error.
func Wrk(ctx context.Context, r Run) (Result, error) {
	script := filepath.Join(r.Dir, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return Result{}, err
	}
	seconds := int((r.Duration + time.Second - 1) / time.Second)
	args := []string{
		"-t1", "-c" + strconv.Itoa(r.Connections), "-d" + strconv.Itoa(seconds), "--timeout", "30", "-s", script,
		"-H", "Host: " + Host,
	}
	for _, line := range r.Target.Header {
		args = append(args, "-H", line)
	}
	program, args := "wrk", append(args, r.Target.url())
	if r.CPUs != "" {
		program, args = "taskset", append([]string{"-c", r.CPUs, program}, args...)
	}
	out, err := output(ctx, program, args...)
	if err != nil {
		return Result{}, err
	}
	return parseWrk(out)
}

// output runs a program and returns its standard output.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(exit.Stderr)+string(out)))
	}
	return string(out), err
}

// parseWrk parses the last line, which wrk.lua prints.
func parseWrk(out string) (Result, error) {
	const mark = "\nRESULT "
	at := strings.LastIndex(out, mark)
	if at < 0 {
		return Result{}, fmt.Errorf("wrk's output is not a report: %.200s", out)
	}
	var r struct {
		Requests                              int
		Micros                                int64
		Connect, Read, Write, Status, Timeout int
		P50, P99, P999                        int64
	}
	if err := json.Unmarshal([]byte(out[at+len(mark):]), &r); err != nil {
		return Result{}, fmt.Errorf("wrk: %w", err)
	}
	if r.Connect+r.Read+r.Write+r.Status+r.Timeout > 0 {
		return Result{}, fmt.Errorf("of %d answers %d were errors; sockets failed: %d to connect, %d to read, %d to write; %d waited too long",
			r.Requests, r.Status, r.Connect, r.Read, r.Write, r.Timeout)
	}
	if r.Requests == 0 || r.Micros == 0 {
		return Result{}, errors.New("no request was answered")
	}
	result := Result{Requests: r.Requests, Elapsed: micros(r.Micros), P50: micros(r.P50), P99: micros(r.P99), P999: micros(r.P999)}
	return result.credible(), nil
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
