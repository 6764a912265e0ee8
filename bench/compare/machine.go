package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// machine describes the machine in one line.
func machine(s *site) string {
	cpu := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.+)$`).FindSubmatch(text); m != nil {
			cpu = string(m[1])
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %d connections where memory is measured",
		cpu, runtime.NumCPU(), strings.TrimSpace(string(kernel)), s.crowd())
}

// version matches the first number with points in a program's output.
var version = regexp.MustCompile(`\d+(\.\d+)+`)

// versions are those that the installed programs print.
func versions(ctx context.Context, s *site) map[string]string {
	all := map[string]string{"go": runtime.Version()}
	for revision, commit := range s.commits {
		all["@"+revision] = revision + " is " + commit[:12]
	}
	for program, flag := range map[string]string{"nginx": "-v", "haproxy": "-v", "wrk": "-v", "h2load": "--version", "nghttpx": "--version"} {
		path, ok := s.programs[program]
		if !ok {
			continue
		}
		said, _ := exec.CommandContext(ctx, path, flag).CombinedOutput() // wrk's exit status is 1
		if found := version.FindString(string(said)); found != "" {
			all[program] = program + " " + found
		}
	}
	return all
}
