package standalone

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi/store"
	"github.com/sluice-proxy/sluice/internal/standalone/objects"
	"github.com/sluice-proxy/sluice/internal/standalone/podlog"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/standalone/state"
)

// The resources whose objects last, and those that this package looks at.
var (
	services   = schema.GroupResource{Group: "serving.knative.dev", Resource: "services"}
	revisions  = schema.GroupResource{Group: "serving.knative.dev", Resource: "revisions"}
	configMaps = schema.GroupResource{Resource: "configmaps"}
	secrets    = schema.GroupResource{Resource: "secrets"}
	namespaces = schema.GroupResource{Resource: "namespaces"}
	pods       = schema.GroupResource{Resource: "pods"}

	// lasting are the resources whose objects are saved: what was declared, and what is made from Services and has an identity
	// that others refer to.
	lasting = slices.Concat([]schema.GroupResource{namespaces}, declaredResources, madeResources)

	madeResources = []schema.GroupResource{
		revisions,
		{Group: services.Group, Resource: "configurations"},
		{Group: services.Group, Resource: "routes"},
	}

	// declaredResources are those of objects that files or clients declare for a namespace.
	declaredResources = append([]schema.GroupResource{services, configMaps, secrets}, slices.SortedFunc(maps.Values(eventingResources), compareResources)...)
)

func compareResources(a, b schema.GroupResource) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
}

// API has the settings of the Kubernetes API.
type API struct {
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// State is the directory in which what the API was given lasts; empty: it doesn't.
	State string
	// Kubeconfig is the file that is written for clients; empty: one in State, or a temporary one.
	Kubeconfig string
}

// api is the Kubernetes API: its objects, what of them lasts, and the server.
type api struct {
	store     *store.Store
	publisher *publisher
	events    *objects.Events
	dir       *state.Dir  // nil: nothing lasts
	saved     state.State // as found at the start
	unsaved   string      // the latest error of saving

	listener   net.Listener
	server     *kubeapi.Server
	kubeconfig string
	temporary  string // directory of the kubeconfig, if it is a temporary one
}

// openAPI opens the state and puts it into a new store.
func openAPI(c API) (*api, error) {
	a := &api{}
	saved := &a.saved
	if c.State != "" {
		var err error
		if a.dir, err = state.Open(c.State); err != nil {
			return nil, err
		}
		if *saved, err = a.dir.Load(); err != nil {
			return nil, errors.Join(err, a.dir.Close())
		}
	}
	// Versions grow although clients may remember some that were not saved.
	a.store = store.New(max(saved.Version, uint64(time.Now().UnixMicro())))
	a.publisher, a.events = newPublisher(a.store), objects.NewEvents(a.store)
	for _, d := range objects.Definitions() {
		a.store.Put(d.Resource, d.Object)
	}
	for _, o := range saved.Objects {
		r, ok := kinds()[o.GroupVersionKind()]
		if ok {
			a.store.Put(r, o.Unstructured)
		}
		if slices.Contains(madeResources, r) {
			a.publisher.adopt(r, o.Unstructured)
		}
	}
	return a, nil
}

// serveAPI listens, and writes the kubeconfig.
func (s *Server) serveAPI(c API) (err error) {
	a := s.api
	if a.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(DefaultHost, strconv.Itoa(c.Port))); err != nil {
		return fmt.Errorf("can't listen for the API: %w: choose another port with -api-port", errors.Unwrap(err))
	}
	a.server, err = kubeapi.New(kubeapi.Config{
		Store: a.store, Resources: s.resources(), Do: s.do, Logs: s.logsOf, Metrics: scrape(s.registry), Version: program.Version(), Token: rand.Text(), Log: s.log,
	})
	if err != nil {
		return err
	}
	switch a.kubeconfig = c.Kubeconfig; {
	case a.kubeconfig != "":
	case c.State != "":
		a.kubeconfig = filepath.Join(c.State, "kubeconfig")
	default:
		if a.temporary, err = os.MkdirTemp("", "sluice-kubeconfig-"); err != nil {
			return err
		}
		a.kubeconfig = filepath.Join(a.temporary, "kubeconfig")
	}
	if a.kubeconfig, err = filepath.Abs(a.kubeconfig); err != nil {
		return err
	}
	return kubeapi.WriteKubeconfig(a.kubeconfig, a.server.Kubeconfig(a.listener.Addr().String()))
}

// close releases what openAPI and serveAPI have opened, the server excepted.
func (a *api) close() error {
	if a == nil {
		return nil
	}
	var errs []error
	if a.listener != nil {
		errs = append(errs, ignoreClosed(a.listener.Close()))
	}
	if a.temporary != "" {
		errs = append(errs, os.RemoveAll(a.temporary))
	}
	if a.dir != nil {
		errs = append(errs, a.dir.Close())
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// save saves what lasts.
func (s *Server) save() {
	a := s.api
	if a == nil || a.dir == nil {
		return
	}
	saved := state.State{Version: a.store.Version()}
	for _, r := range lasting {
		all, _ := a.store.List(r, "")
		for _, o := range all {
			saved.Objects = append(saved.Objects, state.Object{Unstructured: o, FromFile: s.declared.files[objectKey{r, o.GetNamespace(), o.GetName()}]})
		}
	}
	why := ""
	if err := a.dir.Save(saved); err != nil {
		why = err.Error()
	}
	if why != "" && why != a.unsaved {
		s.config.Screen.Line("sluice: the state is not saved: " + why)
	}
	a.unsaved = why
}

// do runs f on the goroutine that owns the state, and returns when f has; false: that goroutine has stopped.
func (s *Server) do(f func()) bool {
	done := make(chan struct{})
	if !s.post(func() { f(); close(done) }) {
		return false
	}
	<-done
	return true
}

// logsOf opens the log of a container for the API.
func (s *Server) logsOf(ctx context.Context, namespace, name string, o kubeapi.LogOptions) (io.ReadCloser, error) {
	var found *container
	var names []string
	there := false
	s.do(func() {
		for p, r := range s.pods {
			if r.Namespace != namespace || p.name != name {
				continue
			}
			there = true
			for _, c := range p.containers {
				names = append(names, c.state.Name)
				if c.state.Name == o.Container || o.Container == "" && c.process == replica.App {
					found = c
				}
			}
		}
	})
	switch {
	case !there:
		return nil, apierrors.NewNotFound(pods, name)
	case found == nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s, which has: %s", o.Container, name, quoted(names)))
	}
	options := podlog.Options{Follow: o.Follow, Previous: o.Previous, Timestamps: o.Timestamps, Tail: o.Tail, LimitBytes: o.LimitBytes}
	if o.Since > 0 {
		options.Since = time.Now().Add(-time.Duration(o.Since) * time.Second)
	}
	return found.log.Open(ctx, options), nil
}

func quoted(names []string) string { return fmt.Sprintf("%q", slices.Sorted(slices.Values(names))) }
