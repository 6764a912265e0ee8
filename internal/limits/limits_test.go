package limits

import (
	"flag"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestSizesAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"1": 1, "65536": 64 << 10, "64Ki": 64 << 10, "64KiB": 64 << 10, "2Mi": 2 << 20, "1GiB": 1 << 30,
	} {
		var s Size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		var again Size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%s is shown as %s: %d, %v", text, s.String(), again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "64K", "64B", "1.5Mi", "Ki", "9223372036854775807Ki", "8589934592Gi", "x"} {
		var s Size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
}

func TestFlagsWinOverVariables(t *testing.T) {
	l := Default(600<<20, 1<<20)
	vars := map[string]string{"SLUICE_MAX_TARGET": "8Ki", "SLUICE_MAX_HEAD": "100000", "SLUICE_MAX_FIELDS": "many"}
	errs := l.Activator().Environment(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
	if len(errs) != 1 || errs[0].Error() != `SLUICE_MAX_FIELDS is "many", expected a positive number` {
		t.Error(errs)
	}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	var help strings.Builder
	f.SetOutput(&help)
	l.Activator().Flags(f)
	f.PrintDefaults()
	if !strings.Contains(help.String(), "414 ($SLUICE_MAX_TARGET) (default 8Ki)") {
		t.Error(help.String())
	}
	f.SetOutput(io.Discard)
	if err := f.Parse([]string{"-max-target", "9Ki"}); err != nil {
		t.Fatal(err)
	}
	if c := l.Server(proxy.ServerConfig{}); c.MaxTarget != 9<<10 || c.MaxHead != 100_000 || c.MaxFields != proxy.DefaultMaxFields {
		t.Errorf("%+v", c)
	}
}

func TestDefaultsFollowFromMemory(t *testing.T) {
	for _, c := range []struct {
		memory                   int64
		conns, tls               Count
		http2, waiting           Count
		unfinished, waitingHeads Size
	}{
		{10 << 20, 640, 80, 160, 400, 1 << 20, 10 << 17},
		{100 << 20, 6400, 800, 1600, 4000, 100 << 16, 100 << 17},
		{540 << 20, 34560, 4320, 8640, 20_000, 540 << 16, 540 << 17},
		{64 << 30, 4 << 20, 512 << 10, 1 << 20, 20_000, 4 << 30, 256 << 20},
	} {
		l := Default(c.memory, math.MaxInt64)
		if l.Conns != c.conns || l.TLSConns != c.tls || l.HTTP2Conns != c.http2 || l.Waiting != c.waiting || l.UnfinishedHeads != c.unfinished || l.WaitingBytes != c.waitingHeads || l.HeldBytes != Size(c.memory/8) {
			t.Errorf("%d: %+v", c.memory, l)
		}
	}
}

// Connections that are idle must not have all descriptors: no other could be accepted, and no request forwarded.
func TestF8ConnectionsFollowFromDescriptors(t *testing.T) {
	for descriptors, conns := range map[int64]Count{0: 16, 90: 16, 150: 43, 1024: 480, 65536: 32736, 1 << 20: 34560} {
		if l := Default(540<<20, descriptors); l.Conns != conns {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, l.Conns, conns)
		}
	}
	if n := Descriptors(); n < 16 {
		t.Errorf("%d descriptors", n)
	}
}

func TestTrustedPeers(t *testing.T) {
	l := Default(600<<20, 1<<20)
	errs := l.Activator().Environment(func(name string) (string, bool) {
		return map[string]string{"SLUICE_TRUSTED_PEERS": "10.1.2.3/8, fd00::/8"}[name], true
	})
	if len(errs) > 0 || l.Proxies.String() != "10.0.0.0/8,fd00::/8" {
		t.Error(errs, l.Proxies)
	}
	if err := l.Proxies.Set("10.0.0.1"); err == nil {
		t.Error("an address is taken for a CIDR")
	}
}
