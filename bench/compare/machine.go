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
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %d connections where memory is measured",
		cpu, runtime.NumCPU(), strings.TrimSpace(string(kernel)), s.crowd())
}

// version is the first number with points in what a program says of itself.
var version = regexp.MustCompile(`\d+(\.\d+)+`)

// versions of the programs that are installed, as they say.
func versions(ctx context.Context, s *site) map[string]string {
	all := map[string]string{"go": runtime.Version()}
	for program, flag := range map[string]string{"nginx": "-v", "haproxy": "-v", "wrk": "-v", "h2load": "--version"} {
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
