package queueproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
)

const (
	announceTimeout = 2 * time.Second // of one attempt
	// By announceLimit the activator has the pod's address from Kubernetes, if it ever gets it.
	announceLimit = 10 * time.Second
	maxToken      = 16 << 10
)

// Announce has a pod that has just started send its address to the activators. Kubernetes publishes the address too, but
// only after the kubelet has next checked the pod's containers, which it does once a second.
type Announce struct {
	// Activators is the address of their Service, host:port. Empty: the pod announces nothing.
	Activators string
	// TokenFile holds a service account token of the pod for the audience knative.AudienceSluice, which proves to an
	// activator which pod sent the announcement. Required with Activators.
	TokenFile string
}

// Validate reports an address that can't be used.
func (a Announce) Validate() error {
	if a.Activators == "" {
		return nil
	}
	return checkAddr(a.Activators, false)
}

// announced returns the address to announce; false if there is none.
func (p *Proxy) announced() (addr netip.AddrPort, ok bool) {
	if p.config.Announce.Activators == "" || p.config.Announce.TokenFile == "" {
		return addr, false
	}
	ip, err := netip.ParseAddr(p.config.Identity.PodIP)
	_, port, _ := net.SplitHostPort(p.Addrs().Serve) // Off has none
	n, perr := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(ip, uint16(n)), err == nil && perr == nil
}

// announce sends announcements until an activator accepts one, announceLimit has passed or ctx ends. It stops at a 400,
// which is how an activator that isn't Sluice's responds, and at a 403.
func (p *Proxy) announce(ctx context.Context, addr netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		status, err := p.announceOnce(ctx, addr)
		switch {
		case err == nil && status/100 == 2:
			p.log.Debug("announced to the activators")
			return
		case err == nil && (status == http.StatusBadRequest || status == http.StatusForbidden):
			p.log.Info("the activator doesn't accept announcements", zap.Int("status", status))
			return
		}
		if !sleep(ctx, pause) {
			p.log.Info("no activator has accepted the announcement of this pod", zap.Int("status", status), zap.Error(err))
			return
		}
	}
}

func (p *Proxy) announceOnce(ctx context.Context, addr netip.AddrPort) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	token, err := readToken(p.config.Announce.TokenFile)
	if err != nil {
		return 0, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.config.Announce.Activators)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	a := knative.Announcement{
		Namespace: p.config.Identity.Namespace, Revision: p.config.Identity.Revision, Addr: addr, Token: token,
	}
	if err := a.Write(conn, p.config.Announce.Activators); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 4<<10)), nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func readToken(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken))
	token := strings.TrimSpace(string(b))
	if err == nil && (token == "" || strings.ContainsAny(token, " \r\n\x00")) {
		err = fmt.Errorf("%s contains no token", name)
	}
	return token, err
}
