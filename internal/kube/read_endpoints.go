package kube

import (
	"net"
	"net/netip"
	"strconv"
	"unique"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reader makes items from objects. A public Service can have pods and activators: an activator is a pod of the system
// namespace.
type reader struct {
	systemNamespace string
	noTimeouts      bool
}

func (r reader) list(obj any) item {
	switch o := obj.(type) {
	case *discoveryv1.EndpointSlice:
		return r.readSlice(o)
	case *coreEndpoints:
		return r.readEndpoints(o)
	}
	return nil
}

// newList returns an empty list, which belongs to no revision if the labels name none.
func newList(m *metav1.ObjectMeta) *list {
	return &list{
		name:   name{intern(m.Namespace), m.Name},
		of:     revisionOf(m),
		public: m.Labels[knative.LabelServiceType] == knative.ServiceTypePublic,
	}
}

func revisionOf(m *metav1.ObjectMeta) throttler.RevisionID {
	return throttler.RevisionID{Namespace: intern(m.Namespace), Name: m.Labels[knative.LabelRevision]}
}

// intern makes equal strings share their memory.
func intern(s string) string { return unique.Make(s).Value() }

// readSlice leaves out endpoints that are terminating. A Ready condition that is nil means ready (discovery/v1
// EndpointConditions).
func (r reader) readSlice(s *discoveryv1.EndpointSlice) *list {
	l := newList(&s.ObjectMeta)
	port, ok := slicePort(s.Ports)
	if !ok || s.AddressType == discoveryv1.AddressTypeFQDN {
		return l
	}
	l.endpoints = make([]endpoint, 0, len(s.Endpoints))
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 || isTrue(e.Conditions.Terminating) {
			continue
		}
		// All addresses of an endpoint are the same pod's; clients may use the first alone (discovery/v1 Endpoint).
		r.add(l, e.Addresses[0], port, e.TargetRef, e.Conditions.Ready == nil || *e.Conditions.Ready)
	}
	return l
}

func isTrue(b *bool) bool { return b != nil && *b }

func slicePort(all []discoveryv1.EndpointPort) (string, bool) {
	port := func(want string) (string, bool) {
		for _, p := range all {
			if p.Name != nil && *p.Name == want && p.Port != nil {
				return strconv.Itoa(int(*p.Port)), true
			}
		}
		return "", false
	}
	if p, ok := port(knative.PortNameHTTP1); ok {
		return p, true
	}
	return port(knative.PortNameHTTP2)
}

func (r reader) readEndpoints(s *coreEndpoints) *list {
	l := newList(&s.ObjectMeta)
	for i := range s.Subsets {
		sub := &s.Subsets[i]
		port, ok := subsetPort(sub.Ports)
		if !ok {
			continue
		}
		for j := range sub.Addresses {
			r.add(l, sub.Addresses[j].IP, port, sub.Addresses[j].TargetRef, true)
		}
		for j := range sub.NotReadyAddresses {
			r.add(l, sub.NotReadyAddresses[j].IP, port, sub.NotReadyAddresses[j].TargetRef, false)
		}
	}
	return l
}

func subsetPort(all []corev1.EndpointPort) (string, bool) {
	for _, want := range [...]string{knative.PortNameHTTP1, knative.PortNameHTTP2} {
		for _, p := range all {
			if p.Name == want {
				return strconv.Itoa(int(p.Port)), true
			}
		}
	}
	return "", false
}

// add adds an endpoint to l; in a public Service only if it is a ready activator, a pod of the system namespace. Knative
// copies an activator's address with the reference to its pod. An address without a reference isn't trusted: activators
// send the tokens of pods to their peers.
func (r reader) add(l *list, ip, port string, target *corev1.ObjectReference, ready bool) {
	e := endpoint{activator.Endpoint{Addr: net.JoinHostPort(ip, port)}, ready}
	if target != nil {
		e.ID = string(target.UID)
	}
	if l.public {
		addr, err := netip.ParseAddr(ip)
		if !ready || target == nil || target.Namespace != r.systemNamespace || err != nil || !knative.IsPodAddr(addr) {
			return
		}
		e.Addr = ip
	} else if target != nil {
		e.Name = target.Name
	}
	l.endpoints = append(l.endpoints, e)
}

// readService makes an item of the private Service of a revision.
func readService(obj any) item {
	s, ok := obj.(*corev1.Service)
	if !ok {
		return nil
	}
	v := &service{name: name{intern(s.Namespace), s.Name}, of: revisionOf(&s.ObjectMeta)}
	if ip := s.Spec.ClusterIP; ip != corev1.ClusterIPNone {
		v.clusterIP = ip
	}
	return v
}
