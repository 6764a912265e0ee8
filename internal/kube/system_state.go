package kube

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/sluice-proxy/sluice/internal/knative"
	corev1 "k8s.io/api/core/v1"
)

// Kinds of a systemState. Each Secret has a kind of its own, since it has its own watch.
const (
	configMaps kind = iota
	secrets         // the first of the Secrets' kinds
)

// configMap has the data of a ConfigMap only if it is wanted or a trust bundle.
type configMap struct {
	name
	wanted, bundle bool
	data, labels   map[string]string
}

type secret struct {
	name
	data map[string][]byte
}

// systemState is the state of a System, with the changes that it has not published yet.
type systemState struct {
	config  SystemConfig
	changed chan struct{} // of one

	mu         sync.Mutex
	listed     []bool                // by kind
	configMaps map[string]*configMap // those wanted, and trust bundles
	secrets    map[string]map[string][]byte
	dirty      map[string]struct{} // ConfigMaps
	dirtyTrust bool
	dirtySec   map[string]struct{}
}

func newSystemState(c SystemConfig) *systemState {
	return &systemState{
		config: c, changed: make(chan struct{}, 1),
		listed:     make([]bool, int(secrets)+len(c.Secrets)),
		configMaps: map[string]*configMap{}, dirty: map[string]struct{}{},
		secrets: map[string]map[string][]byte{}, dirtySec: map[string]struct{}{},
	}
}

func (d *systemState) readConfigMap(obj any) item {
	o, ok := obj.(*corev1.ConfigMap)
	if !ok {
		return nil
	}
	c := &configMap{name: name{o.Namespace, o.Name}, wanted: slices.Contains(d.config.ConfigMaps, o.Name)}
	_, c.bundle = o.Labels[knative.LabelTrustBundle]
	if c.wanted || c.bundle {
		c.data = o.Data
		if c.data == nil {
			c.data = map[string]string{}
		}
	}
	if c.wanted {
		c.labels = o.Labels
	}
	return c
}

func (d *systemState) readSecret(obj any) item {
	o, ok := obj.(*corev1.Secret)
	if !ok {
		return nil
	}
	s := &secret{name: name{o.Namespace, o.Name}, data: o.Data}
	if s.data == nil {
		s.data = map[string][]byte{}
	}
	return s
}

func (d *systemState) put(_ kind, it item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.putLocked(it)
	d.notifyLocked()
}

func (d *systemState) remove(k kind, n name) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeLocked(k, n)
	d.notifyLocked()
}

func (d *systemState) replace(k kind, all []item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.listed[k] {
		d.listed[k] = true
		d.allDirtyLocked(k)
	}
	kept := map[string]bool{}
	for _, it := range all {
		kept[it.at().name] = true
		d.putLocked(it)
	}
	switch k {
	case configMaps:
		for n, c := range d.configMaps {
			if !kept[n] {
				d.removeLocked(k, c.name)
			}
		}
	default:
		if n := d.config.Secrets[k-secrets].Name; !kept[n] {
			d.removeLocked(k, name{name: n})
		}
	}
	d.notifyLocked()
}

// allDirtyLocked marks everything of a kind for publication, also what is missing.
func (d *systemState) allDirtyLocked(k kind) {
	if k >= secrets {
		d.dirtySec[d.config.Secrets[k-secrets].Name] = struct{}{}
		return
	}
	d.dirtyTrust = true
	for _, n := range d.config.ConfigMaps {
		d.dirty[n] = struct{}{}
	}
}

func (d *systemState) putLocked(it item) {
	switch it := it.(type) {
	case *configMap:
		if old := d.configMaps[it.name.name]; old != nil && reflect.DeepEqual(old, it) {
			return
		}
		d.removeLocked(configMaps, it.name)
		if it.wanted || it.bundle {
			d.configMaps[it.name.name] = it
			d.markLocked(it)
		}
	case *secret:
		if n := it.name.name; !reflect.DeepEqual(d.secrets[n], it.data) {
			d.secrets[n], d.dirtySec[n] = it.data, struct{}{}
		}
	}
}

func (d *systemState) removeLocked(k kind, n name) {
	if k >= secrets {
		if d.secrets[n.name] != nil {
			d.dirtySec[n.name] = struct{}{}
			delete(d.secrets, n.name)
		}
		return
	}
	if old := d.configMaps[n.name]; old != nil {
		d.markLocked(old)
		delete(d.configMaps, n.name)
	}
}

func (d *systemState) markLocked(c *configMap) {
	if c.wanted {
		d.dirty[c.name.name] = struct{}{}
	}
	d.dirtyTrust = d.dirtyTrust || c.bundle
}

func (d *systemState) notifyLocked() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// take returns the callbacks for what has changed since the last call, and whether everything has been listed.
func (d *systemState) take() (calls []func(), listed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.config
	for _, n := range slices.Sorted(maps.Keys(d.dirty)) {
		var data, labels map[string]string
		if m := d.configMaps[n]; m != nil {
			data, labels = m.data, m.labels
		}
		if c.OnConfigMap != nil {
			calls = append(calls, func() { c.OnConfigMap(n, data, labels) })
		}
	}
	for _, n := range slices.Sorted(maps.Keys(d.dirtySec)) {
		if data := d.secrets[n]; c.OnSecret != nil {
			calls = append(calls, func() { c.OnSecret(n, data) })
		}
	}
	if d.dirtyTrust && c.OnTrustBundles != nil {
		bundles := d.bundlesLocked()
		calls = append(calls, func() { c.OnTrustBundles(bundles) })
	}
	clear(d.dirty)
	clear(d.dirtySec)
	d.dirtyTrust = false
	listed = d.listed[configMaps]
	for i, w := range c.Secrets {
		listed = listed && (d.listed[int(secrets)+i] || w.From != nil)
	}
	return calls, listed
}

func (d *systemState) bundlesLocked() [][]byte {
	var pems [][]byte
	byName := func(a, b *configMap) int { return cmp.Compare(a.name.name, b.name.name) }
	for _, c := range slices.SortedFunc(maps.Values(d.configMaps), byName) {
		if !c.bundle {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(c.data)) {
			pems = append(pems, []byte(c.data[k]))
		}
	}
	return pems
}
