package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStart measures a start on Kubernetes from exec to the kubelet's first 200, with an API server that has one
// revision, and the memory of the process at that moment (Linux).
func BenchmarkStart(b *testing.B) {
	api := startAPIServer(b, nil)
	api.revision()
	var ready time.Duration
	resident := 0
	for b.Loop() {
		began := time.Now()
		p := onKubernetes(b, api, "-drain", "0s")
		p.ready(b)
		ready += time.Since(began)
		resident += residentKiB(p.cmd.Process.Pid)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		p.end(b)
	}
	b.ReportMetric(float64(ready.Microseconds())/1000/float64(b.N), "ms/ready")
	b.ReportMetric(float64(resident)/float64(b.N), "KiB-resident")
}

func residentKiB(pid int) (kib int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	_, _ = fmt.Sscan(rest, &kib)
	return kib
}
