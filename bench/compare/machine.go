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

// machine says where this runs, in a line.
func machine(s *site) string {
	cpu := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.+)$`).FindSubmatch(text); m != nil {
			cpu = string(m[1])
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s, %d connections in scenarios of memory",
		cpu, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), s.crowd())
}

// versions of the programs that are installed, as they say.
func versions(ctx context.Context, s *site) map[string]string {
	all := map[string]string{"go": runtime.Version()}
	for program, flag := range map[string]string{"nginx": "-v", "haproxy": "-v", "wrk": "-v", "h2load": "--version"} {
		path, ok := s.programs[program]
		if !ok {
			continue
		}
		said, _ := exec.CommandContext(ctx, path, flag).CombinedOutput() // wrk's exit status is 1
		first, _, _ := strings.Cut(string(said), "\n")
		all[program] = strings.TrimSpace(first)
	}
	return all
}
